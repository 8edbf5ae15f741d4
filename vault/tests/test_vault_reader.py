"""What the reader says of a text is what the model's own tokenizer says of it."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from menos_vault import Vault
from menos_vault.embeddings.reader import Reader

TEXTS = [
    "",
    " \n\t\r\n ",
    "Boundary-layer flow, at Mach 5.8 (see fig. 3);\tthe end.\n\n# A heading\r\nand more",
    "Don't e-mail naïve café-goers: ÅNGSTRÖM, e\u0301te\u0301, Straße, ΣΊΣΥΦΟΣ, İstanbul, ﬁne",
    "数据库 stores 記事。한국어 텍스트 ไทย العربية עברית हिन्दी",
    "\x00nul\x0bvertical\x1cseparators \x7f\u200bzero\u00a0width\u3000ideographic\u2028line\u0085",
    "[SEP] in the [MASK]middle[CLS] [sep] [PAD]",
    "🦄🦄 a👩‍👩‍👧b \ud800 lone\udfff",
    "iVBORw0KGgoAAAANSUhEUg" * 40 + " base64 " + "A" * 101,
]
PIECES = [
    *"abcXYZ019.,-'()[] \n\t\r",
    "the ",
    "flow",
    "É",
    "ß",
    "\u0301",
    "漢",
    "\u00a0",
    "🦄",
    "##ing",
]


@pytest.fixture(scope="module")
def folder(minilm: Vault) -> Path:
    return minilm.settings.cache / "models" / "all-MiniLM-L6-v2"


def tokenizer_in(folder: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def check(reader: Reader, tokenizer: Any, text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    alone = tokenizer.encode(clean, add_special_tokens=False)
    tokenizer.enable_truncation(32)
    cut = tokenizer.encode(clean).ids
    tokenizer.no_truncation()

    assert list(reader.starts(text)) == [start for start, _ in alone.offsets]
    assert reader.count(text) == len(alone.ids)
    assert reader.read(text, 1_000_000) == tokenizer.encode(clean).ids
    assert reader.read(text, 32) == cut


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_as_the_tokenizer_reads_it(folder: Path, text: str) -> None:
    reader = Reader(folder)

    for _ in range(2):  # the second time its words are known
        check(reader, tokenizer_in(folder), text)


def test_texts_made_at_random_are_read_so_too(folder: Path) -> None:
    reader, tokenizer = Reader(folder), tokenizer_in(folder)
    dice = random.Random(5)

    for _ in range(500):
        check(reader, tokenizer, "".join(dice.choices(PIECES, k=dice.randrange(80))))


def change(folder: Path, to: Path, changed: Callable[[Any], None]) -> None:
    tokenizer = tokenizer_in(folder)
    changed(tokenizer)
    tokenizer.save(str(to / "tokenizer.json"))


def test_a_tokenizer_that_sees_more_than_words_reads_the_whole(
    folder: Path, tmp_path: Path
) -> None:
    from tokenizers import AddedToken

    added = AddedToken("new york", single_word=False)
    change(folder, tmp_path, lambda tokenizer: tokenizer.add_tokens([added]))

    check(Reader(tmp_path), tokenizer_in(tmp_path), "in New York or new york, a new York")


def test_a_tokenizer_with_nothing_around_a_text_puts_nothing_there(
    folder: Path, tmp_path: Path
) -> None:
    from tokenizers.processors import TemplateProcessing

    def bare(tokenizer: Any) -> None:
        tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])

    change(folder, tmp_path, bare)

    check(Reader(tmp_path), tokenizer_in(tmp_path), "a cat on a mat")


def test_threads_read_with_one_reader(folder: Path) -> None:
    reader = Reader(folder)
    words = [f"word{number}" for number in range(3_000)]
    wrong: list[str] = []

    def work(offset: int) -> None:
        for word in words[offset:] + words[:offset]:
            if reader.count(f"{word} {word}") != 2 * reader.count(word):
                wrong.append(word)

    threads = [threading.Thread(target=work, args=(n * 500,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
