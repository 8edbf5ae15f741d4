"""Records: contents, their chunks and vectors.

`Records` is what any database offers; `surreal.SurrealRecords` is SurrealDB, in this process or at
a server.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Unpack

from menos_vault.models import Chunk, ChunkSet, Content, Counts, Hit, NewChunks, Statistics
from menos_vault.records.fields import ContentChanges, ContentFields, NewContent
from menos_vault.records.filters import NO_FILTERS, Filters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["NO_FILTERS", "ContentChanges", "ContentFields", "Filters", "NewContent", "Records"]


class Records(Protocol):
    """A database of contents. Thread-safe; each method is one transaction, and repeatable.

    (At a server, the words of a content with very many chunks follow in parts.) The character NUL,
    which not every database can hold, is stored as ␀.

    Every method may raise RecordsUnavailable (the database is gone or slow), RecordsLocked (another
    process has the folder) and RecordsFailed; writes also RecordsConflict and InvalidContent.
    """

    def put_content(
        self, resource_key: str, *, content_type: str, title: str, **fields: Unpack[ContentFields]
    ) -> Content:
        """Store a content, or merge into the one with the same `resource_key`.

        What is not given, or None, stays as it is stored; `metadata` and `objects` are merged key
        by key. `tags` replace those that people gave; those of a model's digest stay (see
        `menos_vault.records.tags`). `created_at` is for one that is not here yet. `published_at`
        follows from the metadata's (ISO 8601) if it is not given.
        """
        ...

    def put_contents(self, new: Sequence[NewContent]) -> list[Content]:
        """Store several contents, all or none. Of those with the same key the last one counts."""
        ...

    def get_content(self, content_id: str) -> Content:
        """Return a content. Raises ContentNotFound."""
        ...

    def get_contents(self, content_ids: Sequence[str]) -> dict[str, Content]:
        """Return those of several contents that there are, by id."""
        ...

    def update_content(self, content_id: str, **fields: Unpack[ContentChanges]) -> Content:
        """Merge fields into a content, as `put_content` does; here None clears a field.

        Raises ContentNotFound.
        """
        ...

    def set_status(
        self, seen: Sequence[Content], status: str | None, error: str | None = None
    ) -> set[str]:
        """Note how several contents stand, except those that were written since they were read.

        Returns the ids of those that it was noted of.
        """
        ...

    def delete_content(self, content_id: str) -> None:
        """Delete a content with its chunks; its objects are the vault's. Raises ContentNotFound."""

    def deleted_stores(self, content_ids: Sequence[str]) -> dict[str, list[str]]:
        """Return of contents that were deleted in the last day which calls had stored them.

        By id; the latest 16. They are known also when a content with this id is stored anew.
        """
        ...

    def list_contents(
        self, limit: int = 100, offset: int = 0, *, filters: Filters = NO_FILTERS
    ) -> list[Content]:
        """Return contents that pass the filters, the newest first."""
        ...

    def count_contents(self, filters: Filters = NO_FILTERS) -> int:
        """Count the contents that pass the filters."""
        ...

    def replace_chunks(
        self,
        content_id: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        model: str,
        chunker: str = "",
        fingerprint: str = "",
    ) -> None:
        """Make these the content's chunks, all or none, in place of those it has.

        `chunker` and `fingerprint` are kept as they are, see `ChunkSet`; the rest is as in
        `NewChunks`. `model` made the vectors. The first vectors of a vault decide its model and
        dimension.

        Raises ContentNotFound, EmbeddingMismatch (other model or dimension than the vault's).
        """

    def replace_many_chunks(
        self, new: Sequence[NewChunks], *, model: str, chunker: str = ""
    ) -> None:
        """Do so with several contents, all or none."""

    def chunks(self, content_id: str) -> list[Chunk]:
        """Return a content's chunks in order; none if it has none. Raises ContentNotFound."""
        ...

    def chunk_set(self, content_id: str) -> ChunkSet | None:
        """Return what is known of a content's chunks; None if they were never written."""
        ...

    def chunk_sets(self, content_ids: Sequence[str] | None = None) -> dict[str, ChunkSet]:
        """Return the same of all contents whose chunks were written, or of these, by content id."""
        ...

    def search(
        self,
        vector: "NDArray[np.float32] | None" = None,
        *,
        model: str = "",
        limit: int = 10,
        offset: int = 0,
        query: str = "",
        by_words: bool = False,
        filters: Filters = NO_FILTERS,
        per_content: int = 0,
    ) -> list[Hit]:
        """Return up to `limit` passages (1 to 1000) after the first `offset` ones, the best first.

        With a `vector`, of shape (d,) and made by `model`, by meaning; `by_words` by the words of
        the query; with both by both. Words of the query are highlighted in any case.

        With `per_content` above 0, `limit` and `offset` count contents, each with its best passage
        and up to `per_content` - 1 others.

        An empty vault has no hits. Raises EmbeddingMismatch.
        """
        ...

    def similar(
        self,
        content_id: str,
        *,
        limit: int = 10,
        offset: int = 0,
        filters: Filters = NO_FILTERS,
        per_content: int = 1,
    ) -> list[Hit]:
        """Return other contents whose passages are near the middle of this one's.

        None if this one has no vectors. Raises ContentNotFound.
        """
        ...

    def model(self) -> tuple[str, int] | None:
        """Return the name and dimension of the vault's model; None before the first vectors."""
        ...

    def counts(self) -> Counts:
        """Count contents and chunks."""
        ...

    def statistics(self) -> Statistics:
        """Count contents and chunks, and contents by type and status."""
        ...

    def change_model(self, model: str, dimension: int) -> None:
        """Forget all vectors of another model, and expect those of this one from now on.

        Texts stay. Until their vectors are written again, chunks are found by their words only.
        Nothing happens if it is the vault's model already.
        """

    def ping(self) -> None:
        """Ask the database for a sign of life."""

    def close(self) -> None:
        """Finish what is under way and let the folder go."""
