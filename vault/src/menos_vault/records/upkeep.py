"""How what searches look at is kept in step with the records.

An embedded vault has an index of its own, which is told of each write (`keeper`). At a server the
indexes are the database's, and belong to the same transactions (`server.upkeep`).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from menos_vault.models import Chunk, ChunkSet, Content
from menos_vault.records.connection import Connection
from menos_vault.records.filters import Filters
from menos_vault.records.index.local import Found

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Index(Protocol):
    """Finds passages, and counts contents. Thread-safe."""

    def count(self, filters: Filters) -> int:
        """Count the contents that pass."""
        ...

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
        """Return the best passages: by meaning with a `vector`, `by_words` of the query, or both.

        The vector is of `model`, name and dimension; None: it is of the vault's own. Before the
        vault has any, it counts for nothing. Raises EmbeddingMismatch if they are another model's.

        With `per_content` above 0 `limit` and `offset` count contents, and at most so many passages
        of each are returned, together. The content `without` is left out.
        """
        ...

    def mean(self, content_id: str) -> "NDArray[np.float32] | None":
        """Return the mean direction of a content's passages; None if it has none."""
        ...


class Together(NamedTuple):
    """What is to be done in the same transaction."""

    statements: Sequence[str] = ()
    variables: dict[str, Any] = {}  # noqa: RUF012 - never changed
    complete: bool = True
    """Whether that is all; else it does not count as done before what is done after it."""


class Written(NamedTuple):
    """The chunks that were written of a content."""

    chunks: Sequence[Chunk]
    vectors: "NDArray[np.float32]"
    note: ChunkSet


class Writing(Protocol):
    """A write of contents: what goes along in the transaction, and what is done after it."""

    def with_contents(self, rows: Mapping[str, dict[str, Any]]) -> list[str]:
        """Return the statements for a write of these fields of contents, by id."""
        ...

    def after_contents(self, contents: Sequence[Content], answers: Sequence[Any]) -> None:
        """Take note of the records, and of what the statements answered that went along."""

    def with_chunks(self, counts: Mapping[str, int]) -> Together:
        """Return what goes along when contents, by id, get so many chunks."""
        ...

    def after_chunks(self, written: Mapping[str, Written]) -> None:
        """Take note of the chunks of contents, by id."""

    def with_deletion(self, content_id: str) -> list[str]:
        """Return the statements for a deletion."""
        ...

    def after_deletion(self, content_id: str) -> None:
        """Take note of it."""


class Upkeep(Protocol):
    """An open database whose searches are kept in step. Thread-safe."""

    @property
    def connection(self) -> Connection:
        """The database."""
        ...

    @property
    def index(self) -> Index:
        """The index, in step with the records."""
        ...

    def stored(self, vectors: "NDArray[np.float32]") -> Sequence[Any]:
        """Return vectors as the database is to hold them, one by one."""
        ...

    def writing(self, content_ids: Sequence[str]) -> AbstractContextManager[Writing]:
        """Begin a write of contents."""
        ...

    def expect(self, model: str, dimension: int) -> None:
        """Take vectors of this model from now on."""

    def close(self) -> None:
        """Close the database and the index."""
