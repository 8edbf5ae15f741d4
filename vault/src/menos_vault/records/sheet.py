"""A few texts, looked at word by word as the index of an embedded vault looks at all of its own."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from menos_vault.records import scripts
from menos_vault.records.index import words


class Sheet:
    """Some texts, numbered in their order."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Put them into a table in memory."""
        self._database = sqlite3.connect(":memory:")
        self._database.execute(
            f'CREATE VIRTUAL TABLE sheet USING fts5(text, tokenize="{words.TOKENIZER}")'
        )
        self._database.executemany(
            "INSERT INTO sheet (rowid, text) VALUES (?, ?)",
            list(enumerate(map(scripts.apart, texts))),
        )

    def close(self) -> None:
        """Let it go."""
        self._database.close()

    def matching(self, terms: Iterable[str]) -> set[int]:
        """Return the numbers of the texts that have any of these words or phrases."""
        rows = self._database.execute(
            "SELECT rowid FROM sheet WHERE sheet MATCH ?", (_expression(terms),)
        )
        return {number for (number,) in rows}

    def marked(self, terms: Iterable[str], marks: tuple[str, str]) -> dict[int, str]:
        """Return the texts that have any, with marks around them."""
        rows = self._database.execute(
            "SELECT rowid, highlight(sheet, 0, ?, ?) FROM sheet WHERE sheet MATCH ?",
            (*marks, _expression(terms)),
        )
        return {number: scripts.together(text) for number, text in rows}


def _expression(terms: Iterable[str]) -> str:
    return " OR ".join(f'"{scripts.apart(term)}"' for term in terms)


@contextlib.contextmanager
def sheet(texts: Sequence[str]) -> Iterator[Sheet]:
    """Make a sheet for a moment."""
    made = Sheet(texts)
    try:
        yield made
    finally:
        made.close()
