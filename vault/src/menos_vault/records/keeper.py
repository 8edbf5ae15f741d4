"""Keeps the search index of an embedded vault in step with its records.

The records are the truth. A write goes to them first and then to the index; whatever goes wrong in
between is made up for: before the next search if the process lives, at the next opening if it does
not. An embedded database has one process, so nobody else writes to either.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from menos_vault.errors import RecordsUnavailable
from menos_vault.models import Content
from menos_vault.records import schema
from menos_vault.records.connection import Connection
from menos_vault.records.contents import get_many
from menos_vault.records.index.local import LocalIndex, Passages, index_path
from menos_vault.records.rows import chunk_from_row, content_from_row, record_of, to_python
from menos_vault.records.upkeep import Together, Written
from menos_vault.settings import VaultSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STRIPES = 1024  # so many that those who write several contents seldom meet
_FLOAT32 = "<f4"  # of vectors in the database, on whatever machine


class Keeper:
    """The index of one open database. Thread-safe."""

    def __init__(self, settings: VaultSettings) -> None:
        """Open the database and the index, and see what the index lacks.

        Raises as Connection does.
        """
        self.connection = Connection(settings)
        try:
            self._open_index(settings)
        except BaseException:
            self.connection.close()
            raise

    def _open_index(self, settings: VaultSettings) -> None:
        # One writer per content, so that the index hears of its writes in their order.
        self._writers = [threading.RLock() for _ in range(_STRIPES)]
        self._repairing = threading.Lock()
        self._behind: set[str] = set()
        self.connection.ask(schema.NO_VECTOR_INDEX)
        self._index = LocalIndex(index_path(settings.records_folder))
        self._compare()
        self._catch_up()

    @property
    def index(self) -> LocalIndex:
        """The index, in step with the records as far as it can be written."""
        # With a full disk searches go on: what is not in the records any more is left out anyway.
        with contextlib.suppress(RecordsUnavailable):
            self._catch_up()
        return self._index

    def close(self) -> None:
        """Close both."""
        self.connection.close()
        self._index.close()

    def stored(self, vectors: "NDArray[np.float32]") -> Sequence[Any]:
        """As bytes: the database only keeps them, and takes them in a fifth of the time."""
        return [vector.tobytes() for vector in vectors.astype(_FLOAT32)]

    @contextlib.contextmanager
    def writing(self, content_ids: Sequence[str]) -> Iterator["_Writing"]:
        """Be the only one that writes these contents: to the records, then to the index.

        What fails on the way is read again before the next search.
        """
        with contextlib.ExitStack() as stack:
            # All in one order, or two of them might wait for each other.
            for stripe in sorted({hash(content_id) % _STRIPES for content_id in content_ids}):
                stack.enter_context(self._writers[stripe])
            try:
                yield _Writing(self._index, self.connection)
            except BaseException:
                self._behind.update(content_ids)
                raise

    def expect(self, model: str, dimension: int) -> None:
        """Take vectors of this model from now on."""
        self._index.expect(model, dimension)

    def _compare(self) -> None:
        """Note which contents the index does not have as the records have them."""
        stored = schema.model_of(self.connection.ask(schema.EMBEDDING))
        if stored is not None:
            self.expect(*stored)
        contents, chunk_sets = self.connection.ask(schema.CONTENT_VERSIONS)
        versions = {row["id"].id: row["version"] for row in chunk_sets}
        wanted = {
            row["id"].id: (_iso(row["updated_at"]), versions.get(row["id"].id)) for row in contents
        }
        known = self._index.known()
        self._behind |= {identity for identity in known if identity not in wanted}
        self._behind |= {identity for identity in wanted if known.get(identity) != wanted[identity]}

    def _catch_up(self) -> None:
        if not self._behind:
            return
        with self._repairing:
            for identity in sorted(self._behind.copy()):
                self._read_again(identity)

    def _read_again(self, identity: str) -> None:
        with self._writers[hash(identity) % _STRIPES]:
            contents, versions, rows = self.connection.ask(
                schema.read_again(identity),
                id=record_of("content", identity),
                chunk_set=record_of("chunk_set", identity),
            )
            content = content_from_row(contents[0]) if contents else None
            passages = None
            if versions:
                chunks = [chunk_from_row(row) for row in rows]
                passages = Passages(chunks, _vectors(rows), versions[0])
            self._index.renew(identity, content, passages)
            self._behind.discard(identity)


class _Writing:
    """Tells the index, once the records are written. See `menos_vault.records.upkeep.Writing`."""

    def __init__(self, index: LocalIndex, connection: Connection) -> None:
        self._index = index
        self._connection = connection

    def with_contents(self, rows: Mapping[str, dict[str, Any]]) -> list[str]:
        """Take nothing along."""
        return []

    def after_contents(self, contents: Sequence[Content], answers: Sequence[Any]) -> None:
        """Put their records into the index."""
        self._index.put_contents(contents)

    def with_chunks(self, counts: Mapping[str, int]) -> Together:
        """Take nothing along."""
        return Together()

    def after_chunks(self, written: Mapping[str, Written]) -> None:
        """Put the passages into the index, and the records that it was never told of."""
        passages = {
            content_id: Passages(one.chunks, one.vectors, one.note.version)
            for content_id, one in written.items()
        }
        if untold := self._index.replace_chunks(passages):
            for content_id, content in get_many(self._connection, untold).items():
                self._index.renew(content_id, content, passages[content_id])

    def with_deletion(self, content_id: str) -> list[str]:
        """Take nothing along."""
        return []

    def after_deletion(self, content_id: str) -> None:
        """Take it out of the index."""
        self._index.renew(content_id, None)


def _iso(moment: Any) -> str:
    return str(to_python(moment).isoformat())


def _vectors(rows: list[dict[str, Any]]) -> "NDArray[np.float32] | None":
    import numpy as np

    # One transaction writes all of a content's vectors, and one takes all of them away.
    if not rows or any(row.get("embedding") is None for row in rows):
        return None
    return np.array([_vector(row["embedding"]) for row in rows], dtype=np.float32)


def _vector(embedding: bytes | list[float]) -> "NDArray[np.float32] | list[float]":
    """Read a vector; before version 3 of the tables they were numbers here, too."""
    import numpy as np

    return np.frombuffer(embedding, _FLOAT32) if isinstance(embedding, bytes) else embedding
