"""What a write at a database server takes along so that searches find it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from menos_vault.models import Chunk, ChunkSet, Content
from menos_vault.records import schema
from menos_vault.records.answers import Ask, lists
from menos_vault.records.connection import Connection
from menos_vault.records.migrations import migrate
from menos_vault.records.rows import chunk_key
from menos_vault.records.server import statements
from menos_vault.records.server.index import ServerIndex
from menos_vault.records.server.words import TOGETHER, insertions, prepare_words, word_rows
from menos_vault.records.upkeep import Together
from menos_vault.settings import VaultSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


async def prepare(ask: Ask) -> None:
    """Make the tables of a vault at a server."""
    await migrate(ask)
    await prepare_words(ask)


class ServerUpkeep:
    """See `menos_vault.records.upkeep.Upkeep`."""

    def __init__(self, settings: VaultSettings) -> None:
        """Connect, and see to the tables. Raises as Connection does."""
        self.connection = Connection(settings, prepare)
        try:
            self.index = ServerIndex(self.connection)
            # Somebody was cut short.
            [outdated] = self.connection.ask(statements.OUTDATED)
            for record in outdated:
                _retitle(self.connection, record.id)
        except BaseException:
            self.connection.close()
            raise

    def stored(self, vectors: "NDArray[np.float32]") -> Sequence[Any]:
        """As Python's floats, the only numbers that the client takes, for its vector index."""
        return vectors.tolist()  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def writing(self, content_id: str) -> Iterator["_Writing"]:
        """Write at any time; the database has all writers take turns."""
        yield _Writing(self.connection, content_id)

    @contextlib.contextmanager
    def writing_status(
        self, content_ids: Sequence[str]
    ) -> Iterator[Callable[[Sequence[Content]], None]]:
        """Write at any time; no search looks at a status."""
        yield lambda contents: None

    def expect(self, model: str, dimension: int) -> None:
        """Make the vector index if there is none."""
        self.connection.ask(schema.vector_index(dimension))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class _Writing:
    """See `menos_vault.records.upkeep.Writing`."""

    def __init__(self, connection: Connection, content_id: str) -> None:
        self._connection = connection
        self._content_id = content_id

    def with_content(self, fields: dict[str, Any]) -> list[str]:
        """Write the title to the words."""
        if "title" not in fields:
            return []
        return statements.retitle(self._content_id)

    def after_content(self, content: Content, answers: Sequence[Any]) -> None:
        """Write the title to those of the words that were too many."""
        if answers[-1:] == [[True]]:
            _retitle(self._connection, self._content_id)

    def with_chunks(self, keys: Sequence[str]) -> Together:
        """Write the words, if they are not too many; else the content does not count as done."""
        also = [
            statements.take_turn(self._content_id),
            statements.delete(self._content_id, len(keys)),
        ]
        if len(keys) > TOGETHER:
            return Together(also, {"fingerprint": ""})
        return Together([*also, statements.INSERT], {"words": word_rows(keys)})

    def after_chunks(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", note: ChunkSet
    ) -> None:
        """Write the words that were too many; then it is done."""
        from surrealdb import RecordID

        if len(chunks) <= TOGETHER:
            return
        for statement, variables in insertions(
            [chunk_key(self._content_id, chunk.index) for chunk in chunks]
        ):
            self._connection.ask(statement, **variables)
        self._connection.ask(
            schema.FINISH_CHUNKS,
            chunk_set=RecordID("chunk_set", self._content_id),
            version=note.version,
            fingerprint=note.fingerprint,
        )

    def with_deletion(self) -> list[str]:
        """Delete the words."""
        return [statements.leave(self._content_id), statements.delete(self._content_id)]

    def after_deletion(self) -> None:
        """All is done."""


def _retitle(connection: Connection, content_id: str) -> None:
    """Write a content's title to all of its words, part by part."""
    from surrealdb import RecordID

    part = schema.transaction(*statements.retitle(content_id))
    while lists(connection.ask(part, id=RecordID("content", content_id)))[-1] == [True]:
        pass
