"""The index's SQLite file: words in FTS5, vectors as bytes, and what filters look at.

Every passage has a slot, a number that is its row in all tables and in the matrix. Slots of deleted
passages are used again.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from menos_vault.models import Chunk, Content
from menos_vault.records import scripts
from menos_vault.records.filters import Filters
from menos_vault.records.index.words import TOKENIZER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LAYOUT = "2"
_BUSY = 30.0  # seconds that a writer waits for another one

_TABLES = f"""
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS content (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, changed TEXT NOT NULL, title TEXT NOT NULL,
    chunks TEXT, content_type TEXT, author TEXT, language TEXT, published REAL
);
CREATE INDEX IF NOT EXISTS content_published ON content (published);
CREATE TABLE IF NOT EXISTS tag (
    tag TEXT, number INTEGER, PRIMARY KEY (tag, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tag_number ON tag (number);
CREATE TABLE IF NOT EXISTS passage (
    slot INTEGER PRIMARY KEY, number INTEGER NOT NULL, place INTEGER NOT NULL, vector BLOB
);
CREATE INDEX IF NOT EXISTS passage_number ON passage (number, place);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    title, heading, text, tokenize = "{TOKENIZER}"
);
"""


# To ask how common a word is: its stem as the tokenizer makes it, and the vocabulary of all words.
_VOCABULARY = f"""
CREATE VIRTUAL TABLE temp.stems USING fts5(word, tokenize = "{TOKENIZER}");
CREATE VIRTUAL TABLE temp.stem USING fts5vocab(temp, stems, instance);
CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, words, row);
"""


class Place(NamedTuple):
    """Where a passage is: which content, which chunk of it."""

    content_id: str
    chunk: int


class Tables:
    """The file. One thread at a time, which the caller sees to."""

    def __init__(self, path: Path | None) -> None:
        """Open or make it; in memory without a path. Raises sqlite3.Error, OSError."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            path or ":memory:", timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            # What a crash of the machine loses here is made again from the records.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_TABLES)
            self._database.executescript(_VOCABULARY)
            if self.fact("layout") is None:
                self.set_fact("layout", _LAYOUT)
            self._count_slots()
        except BaseException:
            self._database.close()
            raise

    @property
    def usable(self) -> bool:
        """Whether this program's version wrote the file."""
        return self.fact("layout") == _LAYOUT

    def close(self) -> None:
        """Close it."""
        self._database.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Do all of what is done in here, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # A full disk may have ended the transaction already.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._count_slots()
            raise
        self._database.execute("COMMIT")

    def fact(self, name: str) -> str | None:
        """Return something that was noted about the index."""
        row = self._database.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Note something about the index."""
        self._database.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def known(self) -> dict[str, tuple[str, str | None]]:
        """Return of each content when its record changed, and which version its chunks have."""
        rows = self._database.execute("SELECT id, changed, chunks FROM content")
        return {id: (changed, chunks) for id, changed, chunks in rows}

    def put_content(self, content: Content) -> int:
        """Take a content's record; a new title is a new title of all its passages.

        Returns the content's number.
        """
        published = None if content.published_at is None else content.published_at.timestamp()
        row = self._database.execute(
            "SELECT number, title FROM content WHERE id = ?", (content.id,)
        ).fetchone()
        values = (
            content.updated_at.isoformat(),
            content.title,
            content.content_type,
            content.author,
            content.language,
            published,
        )
        if row is None:
            number = self._database.execute(
                "INSERT INTO content "
                "(changed, title, content_type, author, language, published, id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*values, content.id),
            ).lastrowid
        else:
            number, title = row
            self._database.execute(
                "UPDATE content SET changed = ?, title = ?, content_type = ?, author = ?, "
                "language = ?, published = ? WHERE number = ?",
                (*values, number),
            )
            self._database.execute("DELETE FROM tag WHERE number = ?", (number,))
            if title != content.title:
                self._database.execute(
                    "UPDATE words SET title = ? "
                    "WHERE rowid IN (SELECT slot FROM passage WHERE number = ?)",
                    (scripts.paired(content.title), number),
                )
        self._database.executemany(
            "INSERT OR IGNORE INTO tag VALUES (?, ?)", [(tag, number) for tag in content.tags]
        )
        assert number is not None
        return int(number)

    def replace_chunks(
        self,
        number: int,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32] | None",
        version: str,
    ) -> tuple[list[int], list[int]]:
        """Make these a known content's passages; returns the slots given up and the new ones."""
        (title,) = self._database.execute(
            "SELECT title FROM content WHERE number = ?", (number,)
        ).fetchone()
        old = self._remove_passages(number)
        slots = self._free_slots(len(chunks))
        blobs = [None] * len(chunks) if vectors is None else [row.tobytes() for row in vectors]
        self._database.executemany(
            "INSERT INTO passage VALUES (?, ?, ?, ?)",
            [
                (slot, number, chunk.index, blob)
                for slot, chunk, blob in zip(slots, chunks, blobs, strict=True)
            ],
        )
        self._database.executemany(
            "INSERT INTO words (rowid, title, heading, text) VALUES (?, ?, ?, ?)",
            [
                (slot, *map(scripts.paired, (title, chunk.heading or "", chunk.text)))
                for slot, chunk in zip(slots, chunks, strict=True)
            ],
        )
        self._database.execute("UPDATE content SET chunks = ? WHERE number = ?", (version, number))
        return old, slots

    def delete(self, content_id: str) -> list[int]:
        """Forget a content; returns the slots given up."""
        row = self._database.execute(
            "SELECT number FROM content WHERE id = ?", (content_id,)
        ).fetchone()
        if row is None:
            return []
        slots = self._remove_passages(row[0])
        self._database.execute("DELETE FROM tag WHERE number = ?", row)
        self._database.execute("DELETE FROM content WHERE number = ?", row)
        return slots

    def forget_vectors(self) -> None:
        """Take all vectors away; the words stay."""
        self._database.execute("UPDATE passage SET vector = NULL")

    def passages(self) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield slot, content number and vector of every passage."""
        yield from self._database.execute("SELECT slot, number, vector FROM passage ORDER BY slot")

    def slots_of(self, content_id: str) -> list[int]:
        """Return the slots of a content's passages, in order."""
        rows = self._database.execute(
            "SELECT slot FROM passage JOIN content USING (number) WHERE id = ? ORDER BY place",
            (content_id,),
        )
        return [slot for (slot,) in rows]

    def number_of(self, content_id: str) -> int | None:
        """Return a content's number."""
        row = self._database.execute(
            "SELECT number FROM content WHERE id = ?", (content_id,)
        ).fetchone()
        return None if row is None else int(row[0])

    def places(self, slots: Sequence[int]) -> dict[int, Place]:
        """Return which passages these slots are."""
        found: dict[int, Place] = {}
        for slot in slots:
            row = self._database.execute(
                "SELECT id, place FROM passage JOIN content USING (number) WHERE slot = ?", (slot,)
            ).fetchone()
            if row is not None:
                found[slot] = Place(*row)
        return found

    def allowed(self, filters: Filters) -> list[int]:
        """Return the numbers of the contents that pass."""
        where, values = _passing(filters)
        rows = self._database.execute(f"SELECT number FROM content WHERE {where}", values)  # noqa: S608
        return [number for (number,) in rows]

    def count(self, filters: Filters) -> int:
        """Count the contents that pass."""
        where, values = _passing(filters)
        (count,) = self._database.execute(
            f"SELECT count(*) FROM content WHERE {where}",  # noqa: S608 - only holes
            values,
        ).fetchone()
        return int(count)

    def matches(self, expression: str, limit: int) -> list[tuple[int, float]]:
        """Return slots and BM25 scores of the passages that match best; more is better."""
        return self._database.execute(
            "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?",
            (expression, limit),
        ).fetchall()

    def matches_in(
        self, expression: str, numbers: Iterable[int], limit: int
    ) -> list[tuple[int, float]]:
        """Return the same of some contents only."""
        self._database.execute("CREATE TEMP TABLE IF NOT EXISTS pass (number INTEGER PRIMARY KEY)")
        self._database.execute("DELETE FROM pass")
        self._database.executemany("INSERT INTO pass VALUES (?)", [(n,) for n in numbers])
        # With "+", which keeps SQLite from asking FTS5 about each row by itself: 7 ms instead of
        # 1,030 ms when half of 5,000 passages pass.
        return self._database.execute(
            "SELECT rowid, -rank FROM words WHERE words MATCH ? AND +rowid IN "
            "(SELECT slot FROM passage JOIN pass USING (number)) ORDER BY rank LIMIT ?",
            (expression, limit),
        ).fetchall()

    def frequency(self, term: str) -> int:
        """Count the passages that have a word, or at most so many a phrase."""
        self._database.execute(
            "INSERT INTO temp.stems (word) VALUES (?)", (scripts.as_words(term),)
        )
        try:
            counts = self._database.execute(
                "SELECT coalesce((SELECT doc FROM temp.vocabulary WHERE term = stem.term), 0) "
                "FROM temp.stem"
            ).fetchall()
        finally:
            self._database.execute("DELETE FROM temp.stems")
        return min((int(count) for (count,) in counts), default=0)

    def _remove_passages(self, number: int) -> list[int]:
        slots = [
            slot
            for (slot,) in self._database.execute(
                "SELECT slot FROM passage WHERE number = ?", (number,)
            )
        ]
        self._database.executemany("DELETE FROM words WHERE rowid = ?", [(s,) for s in slots])
        self._database.execute("DELETE FROM passage WHERE number = ?", (number,))
        self._free += slots
        return slots

    def _free_slots(self, count: int) -> list[int]:
        again = self._free[len(self._free) - min(count, len(self._free)) :]
        del self._free[len(self._free) - len(again) :]
        fresh = range(self.size, self.size + count - len(again))
        self.size += len(fresh)
        return [*again, *fresh]

    def _count_slots(self) -> None:
        used = {slot for (slot,) in self._database.execute("SELECT slot FROM passage")}
        self.size = max(used, default=-1) + 1
        """One more than the highest slot."""
        self._free = [slot for slot in range(self.size) if slot not in used]


def _passing(filters: Filters) -> tuple[str, list[str | float]]:
    """Return the condition of contents that pass, and what stands in its holes."""
    conditions: list[str] = []
    values: list[str | float] = []
    for column, wanted in (
        ("id", filters.content_ids),
        ("content_type", filters.content_types),
        ("author", filters.authors),
    ):
        if wanted:
            conditions.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values += wanted
    if filters.languages:
        # `pt` lets `pt-BR` pass as well.
        either = "lower(language) = ? OR substr(lower(language), 1, ?) = ?"
        conditions.append(f"({' OR '.join([either] * len(filters.languages))})")
        for tag in map(str.lower, filters.languages):
            values += [tag, len(tag) + 1, f"{tag}-"]
    for tag in filters.tags:
        conditions.append("number IN (SELECT number FROM tag WHERE tag = ?)")
        values.append(tag)
    for sign, moment in ((">=", filters.published_from), ("<", filters.published_before)):
        if moment is not None:
            conditions.append(f"published {sign} ?")
            values.append(moment.timestamp())
    return " AND ".join(conditions) or "1", values
