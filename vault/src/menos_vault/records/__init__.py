"""Records: contents, their chunks and vectors.

`Records` is what any database offers; `surreal.SurrealRecords` is SurrealDB, in this process or at
a server.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Unpack

from menos_vault.models import Chunk, Content, Counts, Hit
from menos_vault.records.fields import ContentChanges, ContentFields

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ContentChanges", "ContentFields", "Records"]


class Records(Protocol):
    """A database of contents. Thread-safe; each method is one transaction, and repeatable.

    Every method may raise RecordsUnavailable (the database is gone or slow), RecordsLocked (another
    process has the folder) and RecordsFailed; writes also RecordsConflict and InvalidContent.
    """

    def put_content(
        self, resource_key: str, *, content_type: str, title: str, **fields: Unpack[ContentFields]
    ) -> Content:
        """Store a content, or merge into the one with the same `resource_key`.

        What is not given, or None, stays as it is stored; `metadata` and `objects` are merged key
        by key, `tags` replaced; `created_at` is kept.
        """
        ...

    def get_content(self, content_id: str) -> Content:
        """Return a content. Raises ContentNotFound."""
        ...

    def update_content(self, content_id: str, **fields: Unpack[ContentChanges]) -> Content:
        """Merge fields into a content, as `put_content` does; here None clears a field.

        Raises ContentNotFound.
        """
        ...

    def list_contents(self, limit: int = 100, offset: int = 0) -> list[Content]:
        """Return contents, the newest first."""
        ...

    def replace_chunks(
        self,
        content_id: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        model: str,
    ) -> None:
        """Make these the content's chunks, all or none, in place of those it has.

        `vectors` has shape (n, d): one vector per chunk, in the same order, made by `model`. The
        chunks' indexes are 0 to n-1. The first vectors of a vault decide its model and dimension.

        Raises ContentNotFound, EmbeddingMismatch (other model or dimension than the vault's).
        """

    def chunks(self, content_id: str) -> list[Chunk]:
        """Return a content's chunks in order; none if it has none. Raises ContentNotFound."""
        ...

    def search(self, vector: "NDArray[np.float32]", *, model: str, limit: int = 10) -> list[Hit]:
        """Return up to `limit` chunks (1 to 1000) that are nearest to `vector`, the best first.

        `vector` has shape (d,). An empty vault has no hits. Raises EmbeddingMismatch.
        """
        ...

    def counts(self) -> Counts:
        """Count contents and chunks."""
        ...

    def change_model(self, model: str, dimension: int) -> None:
        """Forget all vectors of another model, and expect those of this one from now on.

        Texts stay. Until their vectors are written again, chunks are not found. Nothing happens if
        it is the vault's model already.
        """

    def ping(self) -> None:
        """Ask the database for a sign of life."""

    def close(self) -> None:
        """Finish what is under way and let the folder go."""
