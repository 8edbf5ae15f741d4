"""Reads texts as a model does: as tokens, by the tokenizer that came with it."""

import functools
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from menos_vault.embeddings import encodable

_WORD = re.compile(r"[^ \t\r\n]+")
_WORDS = 1 << 15
"""Words that are known; the next one takes the place of the one that was read longest ago."""
_LONGEST_WORD = 40  # characters; longer ones are rare, and none of them comes twice
_PART = 100_000  # characters that are read at a time by tokenizers that see more than words


class _Tokens(NamedTuple):
    ids: Sequence[int]
    starts: Sequence[int]
    """Where each begins, counted in characters."""


class Reader:
    """The tokenizer of a model. Thread-safe.

    BERT's reads every word by itself, and most words of a text have been read before. So what they
    are is known, which takes a tenth of the time, and what is read is the same.
    """

    def __init__(self, folder: Path) -> None:
        """Read `tokenizer.json`. Raises a plain Exception if it is missing or wrong."""
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()  # the file pads everything to 128 tokens
        self._tokenizer.no_truncation()
        self._known = functools.lru_cache(_WORDS)(self._read)
        self._by_words = _reads_by_words(self._tokenizer)
        self._before, self._after = _around(self._tokenizer)

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

    def read(self, text: str, longest: int) -> list[int]:
        """Return at most so many tokens, with the special ones around a text among them."""
        room = longest - len(self._before) - len(self._after)
        ids: list[int] = []
        for _, tokens in self._pieces(text):
            ids += tokens.ids
            if len(ids) >= room:
                break
        return [*self._before, *ids[:room], *self._after]

    def _pieces(self, text: str) -> Iterator[tuple[int, _Tokens]]:
        """Yield where each piece of a text begins, and its tokens."""
        if self._by_words:
            for found in _WORD.finditer(text):
                word = found[0]
                known = len(word) <= _LONGEST_WORD
                yield found.start(), self._known(word) if known else self._read(word)
        else:
            for begin, part in _parts(text):
                yield begin, self._read(part)

    def _read(self, text: str) -> _Tokens:
        read = self._tokenizer.encode(encodable(text), add_special_tokens=False)
        return _Tokens(tuple(read.ids), tuple(start for start, _ in read.offsets))


def _reads_by_words(tokenizer: Any) -> bool:
    """Whether a text's tokens are those of its words, one after the other."""
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    return (
        isinstance(tokenizer.model, WordPiece)
        and isinstance(tokenizer.normalizer, BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and not any(
            added.lstrip or added.rstrip or not _WORD.fullmatch(added.content)
            for added in tokenizer.get_added_tokens_decoder().values()
        )
    )


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens in front of a text and behind it."""
    inner = tokenizer.encode("a", add_special_tokens=False).ids
    whole = tokenizer.encode("a").ids
    count = len(whole) - len(inner)
    begin = next(n for n in range(count + 1) if whole[n : n + len(inner)] == inner)
    return whole[:begin], whole[begin + len(inner) :]


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Split a text at spaces, so that few tokens are in memory at a time; each part's place too."""
    begin = 0
    while begin < len(text):
        end = begin + _PART
        if end < len(text):
            end = max(text.rfind(space, begin, end) for space in " \n") + 1 or end
        yield begin, text[begin:end]
        begin = end
