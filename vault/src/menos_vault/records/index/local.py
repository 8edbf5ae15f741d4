"""The search index of an embedded vault."""

import contextlib
import functools
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from menos_vault.errors import RecordsUnavailable, VaultClosed
from menos_vault.models import Chunk, Content
from menos_vault.records.checks import check_model
from menos_vault.records.filters import Filters
from menos_vault.records.index import ranking, words
from menos_vault.records.index.matrix import Matrix
from menos_vault.records.index.tables import Place, Tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DEEPEST = 1000
"""Passages that the full text may bring; what is further down counts as not matching."""


class Found(NamedTuple):
    """A passage in the order of a search."""

    place: Place
    combined: float
    similarity: float | None
    keywords: float | None
    neighbours: float | None
    """The mean score of those that are like it; only of the best ones of a hybrid search."""
    rows: tuple[dict[str, Any], dict[str, Any]] | None = None
    """Of the chunk and of its content, if they came along."""


class Passages(NamedTuple):
    """The passages of a content."""

    chunks: Sequence[Chunk]
    vectors: "NDArray[np.float32] | None"
    version: str


class LocalIndex:
    """Words in SQLite, vectors in memory. Thread-safe.

    It holds nothing that the records do not hold. Whoever changes them tells it; how far it is
    behind after a crash shows by comparing `known()` with the records.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the file, or make it anew if it is damaged or of another version.

        Without a path it is in memory. Raises RecordsUnavailable.
        """
        self._path = path
        self._lock = threading.RLock()
        self._closed = False
        self._matrix = Matrix()
        self._model: tuple[str, int] | None = None
        with self._explained():
            self._tables = self._open()
            self._load()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            self._tables.close()

    def known(self) -> dict[str, tuple[str, str | None]]:
        """Return of each content when its record changed, and which version its chunks have."""
        with self._lock, self._explained():
            return self._tables.known()

    def put_contents(self, contents: Sequence[Content]) -> None:
        """Take contents' records."""
        with self._lock, self._explained(), self._tables.writing():
            for content in contents:
                self._tables.put_content(content)

    def replace_chunks(self, passages: Mapping[str, Passages]) -> list[str]:
        """Take the passages of contents, by id, in place of those they have.

        Returns the contents whose record was never told; nothing was done to these.
        """
        untold = []
        written = []
        with self._lock, self._explained():
            with self._tables.writing():
                for content_id, new in passages.items():
                    owner = self._tables.number_of(content_id)
                    if owner is None:
                        untold.append(content_id)
                    else:
                        written.append((owner, new, *self._tables.replace_chunks(owner, *new)))
            for owner, new, old, slots in written:
                self._matrix.forget(old)
                self._take(owner, new, slots)
        return untold

    def renew(
        self, content_id: str, content: Content | None, passages: Passages | None = None
    ) -> None:
        """Take a content as it is now, without one nothing, in place of all that is known of it."""
        written = []
        with self._lock, self._explained():
            with self._tables.writing():
                old = self._tables.delete(content_id)
                if content is not None:
                    owner = self._tables.put_content(content)
                    if passages is not None:
                        _, slots = self._tables.replace_chunks(owner, *passages)
                        written.append((owner, passages, slots))
            self._matrix.forget(old)
            for one in written:
                self._take(*one)

    def expect(self, model: str, dimension: int) -> None:
        """Take vectors of this model from now on; those of another one are forgotten."""
        fact = f"{model}/{dimension}"
        with self._lock, self._explained():
            if self._tables.fact("model") != fact:
                with self._tables.writing():
                    self._tables.forget_vectors()
                    self._tables.set_fact("model", fact)
                self._matrix.clear()
            self._model = (model, dimension)

    def count(self, filters: Filters) -> int:
        """Count the contents that pass."""
        with self._lock, self._explained():
            return self._tables.count(filters)

    def search(
        self,
        vector: "NDArray[np.float32] | None",
        query: str,
        *,
        model: tuple[str, int] | None = None,
        by_words: bool,
        filters: Filters,
        limit: int,
        offset: int,
        per_content: int,
        without: str | None = None,
    ) -> list[Found]:
        """Return the best passages. See `menos_vault.records.upkeep.Index`."""
        import numpy as np

        with self._lock, self._explained():
            if self._model is None:
                vector = None  # nobody else writes to the database, so it has none either
            elif vector is not None and model is not None:
                check_model(self._model, model)
            size = self._tables.size
            if not size:
                return []
            owners = self._owners[:size]
            numbers = self._tables.allowed(filters) if filters else None
            asked = self._telling(query)
            expression = words.expression(asked.elements()) if asked else None
            similarity = None if vector is None else self._matrix.similarities(vector, size)
            if similarity is not None and numbers is not None:
                # Before the two are put together: what does not pass is no measure for the rest.
                similarity[~np.isin(owners, numbers)] = -np.inf
            keywords = None
            if by_words and expression is not None:
                keywords = self._keywords(expression, numbers, size)
            elif similarity is None:
                return []
            combined = ranking.fuse(similarity, keywords)
            if without is not None:
                own = self._tables.slots_of(without)
                combined[own] = -np.inf
            near: dict[int, float] = {}
            if similarity is not None and keywords is not None:
                near = self._join(combined)
            slots = ranking.page(
                lambda count: ranking.best(combined, count),
                lambda slot: int(owners[slot]),
                limit=limit,
                offset=offset,
                per_owner=per_content,
            )
            places = self._tables.places(slots)
        return [
            Found(
                places[slot],
                float(combined[slot]),
                _score(similarity, slot),
                _score(keywords, slot),
                near.get(slot),
            )
            for slot in slots
            if slot in places
        ]

    def mean(self, content_id: str) -> "NDArray[np.float32] | None":
        """Return the mean vector of a content's passages; None if it has none."""
        with self._lock, self._explained():
            return self._matrix.mean(self._tables.slots_of(content_id))

    def _keywords(
        self, expression: str, numbers: Sequence[int] | None, size: int
    ) -> "NDArray[np.float32]":
        import numpy as np

        if numbers is None:
            rows = self._tables.matches(expression, _DEEPEST)
        else:
            rows = self._tables.matches_in(expression, numbers, _DEEPEST)
        keywords = np.zeros(size, dtype=np.float32)
        if rows:
            slots, scores = zip(*rows, strict=True)
            # FTS5 gives words without weight a tiny score; they match all the same.
            keywords[list(slots)] = np.maximum(np.array(scores, dtype=np.float32), 1e-9)
        return keywords

    def _join(self, combined: "NDArray[np.float32]") -> dict[int, float]:
        """Let the best passages have a say in each other's score; returns what they said."""
        slots = ranking.best(combined, ranking.NEIGHBOURS)
        means = ranking.neighbours(combined[slots], self._matrix.vectors(slots))
        combined[slots] = ranking.join(combined[slots], means)
        return dict(zip(slots, means.tolist(), strict=True))

    def _telling(self, query: str) -> Counter[str]:
        asked = words.terms(query)
        if len(asked) < 2:
            return asked
        # The numbers of passages grow slowly, so how common a word is need not be asked each time.
        rounded = 1 << (self._tables.size.bit_length() - 1)
        return words.telling(asked, lambda term: self._frequency(term, rounded), self._tables.size)

    def _open(self) -> Tables:
        try:
            tables = Tables(self._path)
            if tables.usable:
                return tables
            tables.close()
        except sqlite3.OperationalError:
            raise  # the disk is full, or the folder must not be written
        except sqlite3.DatabaseError:
            pass  # damaged
        self._remove()
        return Tables(self._path)

    def _remove(self) -> None:
        if self._path is not None:
            for ending in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _load(self) -> None:
        import numpy as np

        self._frequency: Callable[[str, int], int] = functools.lru_cache(4096)(
            lambda term, _: self._tables.frequency(term)
        )
        self._matrix.clear()
        self._owners = np.zeros(self._tables.size, dtype=np.int64)
        slots: list[int] = []
        vectors: list[bytes] = []
        for slot, number, vector in self._tables.passages():
            self._owners[slot] = number
            if vector is not None:
                slots.append(slot)
                vectors.append(vector)
        if vectors:
            width = len(vectors[0])
            rows = np.frombuffer(b"".join(vectors), dtype=np.float32)
            self._matrix.put(slots, rows.reshape(len(vectors), width // 4))

    def _take(self, owner: int, passages: Passages, slots: Sequence[int]) -> None:
        """Have in memory what the file has of passages."""
        import numpy as np

        if passages.vectors is not None:
            self._matrix.put(slots, passages.vectors)
        if self._tables.size > len(self._owners):
            grown = np.zeros(self._tables.size + self._tables.size // 2, dtype=np.int64)
            grown[: len(self._owners)] = self._owners
            self._owners = grown
        self._owners[list(slots)] = owner

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        if self._closed:
            raise VaultClosed("the vault was closed; open it again")
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:
                with contextlib.suppress(OSError):
                    self._remove()  # whoever opens it next makes it again
                raise RecordsUnavailable(
                    f"the search index {self._path} is damaged ({error}): it is made again from "
                    "the records when the bus is started again"
                ) from error
            raise RecordsUnavailable(
                f"the search index {self._path} failed: {error}; check the disk's free space and "
                "the folder's permissions, then try again. It may be deleted while nothing runs: "
                "it is made again from the records"
            ) from error


def index_path(records_folder: Path | None) -> Path | None:
    """Return where the index of a records folder is: beside it."""
    if records_folder is None:
        return None
    return records_folder.with_name(f"{records_folder.name}.index.sqlite")


def _score(scores: "NDArray[np.float32] | None", slot: int) -> float | None:
    import numpy as np

    return float(scores[slot]) if scores is not None and np.isfinite(scores[slot]) else None
