"""Reads texts as a model does: as tokens, by the tokenizer that came with it."""

import functools
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from menos_vault.embeddings import encodable

_WORD = re.compile(r"[\u4e00-\u9fff]|[^ \t\r\n\u4e00-\u9fff]+")
"""What BERT reads by itself: a Chinese character, and whatever stands between those and spaces."""
_WORDS = 1 << 15
"""Words that are known; the next one takes the place of the one that was read longest ago."""
_LONGEST_WORD = 20  # characters; longer ones are rare, hardly come twice, and would fill the memory
_PART = 100_000
"""Characters that the tokenizer gets at a time, so that few of its tokens are in memory. Of a text
with no place to part it, this may change a token at each end."""


class _Tokens(NamedTuple):
    ids: Sequence[int]
    starts: Sequence[int]
    """Where each begins, counted in characters."""


class Reader:
    """The tokenizer of a model. Thread-safe.

    BERT's reads every word by itself, and most words of a text have been read before. So what they
    are is known, which takes about half the time, and what is read is the same.
    """

    def __init__(self, folder: Path, longest: int) -> None:
        """Read `tokenizer.json`; the model takes `longest` tokens, special ones among them.

        Raises a plain Exception if the file is missing or wrong.
        """
        self._tokenizer = _tokenizer(folder)
        self._longest = longest
        # Not a method of its own, which would keep it until the garbage collector comes.
        self._known = functools.lru_cache(_WORDS)(functools.partial(_read, self._tokenizer))
        self._around = _around(self._tokenizer) if _reads_by_words(self._tokenizer) else None
        if self._around is None:
            self._cutting = _tokenizer(folder, cut_at=longest)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are, without those that were added to the model's own."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=False))

    def count(self, text: str) -> int:
        """Count a text's tokens, without the special ones around it."""
        return sum(len(tokens.ids) for _, tokens in self._pieces(text))

    def starts(self, text: str) -> Sequence[int]:
        """Return where each of them begins: places of characters, in their order."""
        found = array("q")
        for begin, tokens in self._pieces(text):
            if len(tokens.starts) == 1:  # as of most words
                found.append(begin + tokens.starts[0])
            else:
                found.extend([begin + start for start in tokens.starts])
        return found

    def read(self, text: str) -> list[int]:
        """Return what the model gets of a text: with the special tokens around it, and cut."""
        if self._around is None:
            return list(self._cutting.encode(encodable(text)).ids)
        before, after = self._around
        room = self._longest - len(before) - len(after)
        ids: list[int] = []
        for _, tokens in self._pieces(text):
            ids += tokens.ids
            if len(ids) >= room:
                break
        return [*before, *ids[:room], *after]

    def _pieces(self, text: str) -> Iterator[tuple[int, _Tokens]]:
        """Yield where each piece of a text begins, and its tokens."""
        if self._around is None:
            for begin, part in _parts(text):
                yield begin, _read(self._tokenizer, part)
            return
        for found in _WORD.finditer(text):
            word = found[0]
            if len(word) <= _LONGEST_WORD:
                yield found.start(), self._known(word)
            else:
                for begin, part in _parts(word):
                    yield found.start() + begin, _read(self._tokenizer, part)


def _tokenizer(folder: Path, *, cut_at: int | None = None) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()  # the file pads everything to 128 tokens
    if cut_at is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(cut_at)
    return tokenizer


def _read(tokenizer: Any, text: str) -> _Tokens:
    read = tokenizer.encode(encodable(text), add_special_tokens=False)
    return _Tokens(tuple(read.ids), tuple(start for start, _ in read.offsets))


def _reads_by_words(tokenizer: Any) -> bool:
    """Whether a text's tokens are those of its words, one after the other."""
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    return (
        isinstance(tokenizer.model, WordPiece)
        and isinstance(tokenizer.normalizer, BertNormalizer)
        and tokenizer.normalizer.handle_chinese_chars
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and all(_is_in_a_word(added) for added in tokenizer.get_added_tokens_decoder().values())
    )


def _is_in_a_word(added: Any) -> bool:
    """Whether an added token is found in a word just as it is found in a text."""
    # Normalized, it may have spaces; as a single word it depends on what stands around it.
    sees_more = added.normalized or added.single_word or added.lstrip or added.rstrip
    return not sees_more and _WORD.fullmatch(added.content) is not None


def _around(tokenizer: Any) -> tuple[list[int], list[int]] | None:
    """Return the special tokens in front of a text and behind it; None if it stands there twice."""
    read = tokenizer.encode("a")  # a token
    if read.special_tokens_mask.count(0) != 1:
        return None
    place = read.special_tokens_mask.index(0)
    return read.ids[:place], read.ids[place + 1 :]


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Split a text at spaces, so that few tokens are in memory at a time; each part's place too."""
    begin = 0
    while begin < len(text):
        end = begin + _PART
        if end < len(text):
            end = max(text.rfind(space, begin, end) for space in " \n") + 1 or end
        yield begin, text[begin:end]
        begin = end
