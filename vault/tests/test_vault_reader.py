"""What the reader says of a text is what the model's own tokenizer says of it."""

import gc
import random
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from menos_vault import Vault
from menos_vault.embeddings.reader import Reader

TEXTS = [
    "",
    " \n\t\r\n ",
    "Boundary-layer flow, at Mach 5.8 (see fig. 3);\tthe end.\n\n# A heading\r\nand more",
    "Don't e-mail naïve café-goers: ÅNGSTRÖM, e\u0301te\u0301, Straße, ΣΊΣΥΦΟΣ, İstanbul, ﬁne",
    "数据库 stores 記事。한국어 텍스트 ไทย العربية עברית हिन्दी",
    "x漢字y 漢\u0301é漢 豈\u0338 カタカナと漢字、ひらがな",
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
    "[X]",
    "\u3000",
    "字",
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


class Both(NamedTuple):
    """A reader of texts of any length, one that cuts, and the tokenizer they have to agree with."""

    reader: Reader
    cutting: Reader
    tokenizer: Any

    def agree(self, text: str) -> None:
        clean = text.encode("utf-8", "replace").decode()
        alone = self.tokenizer.encode(clean, add_special_tokens=False)
        self.tokenizer.enable_truncation(32)
        cut = self.tokenizer.encode(clean).ids
        self.tokenizer.no_truncation()

        assert list(self.reader.starts(text)) == [start for start, _ in alone.offsets]
        assert self.reader.count(text) == len(alone.ids)
        assert self.reader.read(text) == self.tokenizer.encode(clean).ids
        assert self.cutting.read(text) == cut


def both(folder: Path) -> Both:
    return Both(Reader(folder, 1_000_000), Reader(folder, 32), tokenizer_in(folder))


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_as_the_tokenizer_reads_it(folder: Path, text: str) -> None:
    read = both(folder)

    for _ in range(2):  # the second time its words are known
        read.agree(text)


def random_texts(count: int) -> Iterator[str]:
    dice = random.Random(5)
    return ("".join(dice.choices(PIECES, k=dice.randrange(80))) for _ in range(count))


def test_texts_made_at_random_are_read_so_too(folder: Path) -> None:
    read = both(folder)

    for text in random_texts(500):
        read.agree(text)


def normalized(**changed: bool | None) -> Callable[[Any], None]:
    def change(tokenizer: Any) -> None:
        from tokenizers.normalizers import BertNormalizer

        tokenizer.normalizer = BertNormalizer(**changed)

    return change


def with_added(content: str, **kind: bool) -> Callable[[Any], None]:
    def change(tokenizer: Any) -> None:
        from tokenizers import AddedToken

        tokenizer.add_tokens([AddedToken(content, **kind)])

    return change


def with_around(single: str) -> Callable[[Any], None]:
    def change(tokenizer: Any) -> None:
        from tokenizers.processors import TemplateProcessing

        special = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]", "a")]
        tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=special)

    return change


def of_another_kind(tokenizer: Any) -> None:
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer.model = WordLevel({"[UNK]": 100, "the": 1, "b": 2}, unk_token="[UNK]")
    tokenizer.pre_tokenizer = Whitespace()


@pytest.mark.parametrize(
    "change",
    [
        normalized(lowercase=False),
        normalized(strip_accents=False),
        normalized(clean_text=False),
        normalized(handle_chinese_chars=False),
        with_added("new york"),
        with_added("a\u00a0", normalized=True),  # which makes it a space
        with_added("\u3000", normalized=True),
        with_added("the", normalized=False, single_word=True),
        with_added("[X]", normalized=False),
        with_added("漢", normalized=False),
        with_added("x漢", normalized=False),
        with_added("the", normalized=False, rstrip=True),
        with_around("$A"),
        with_around("[CLS] [CLS] $A [SEP]"),
        with_around("a $A a"),
        with_around("$A [SEP] $A"),
        of_another_kind,
    ],
)
def test_whatever_the_tokenizer_is_its_texts_are_read_as_it_reads_them(
    folder: Path, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    tokenizer = tokenizer_in(folder)
    change(tokenizer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    read = both(tmp_path)

    for text in [
        "in New York or new york, a new York",
        "a b\nA\tb \u3000\n",
        "the the漢 x漢 漢[X] athe  the   b",
        *random_texts(100),
    ]:
        read.agree(text)


@pytest.mark.parametrize("piece", ["漢字", "ab-"])
def test_a_text_without_a_space_is_read_in_little_memory(folder: Path, piece: str) -> None:
    read = both(folder)
    text = piece * 150_000

    tracemalloc.start()
    starts = read.reader.starts(text)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert starts[-1] >= len(text) - len(piece)
    assert most < 40 * 2**20


def test_what_was_read_goes_with_the_reader(folder: Path) -> None:
    reader = Reader(folder, 32)
    reader.count("a cat")
    gone = weakref.ref(reader)

    gc.disable()
    try:
        del reader
        assert gone() is None
    finally:
        gc.enable()


def test_threads_read_with_one_reader(folder: Path) -> None:
    reader = Reader(folder, 32)
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
