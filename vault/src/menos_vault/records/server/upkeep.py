"""What a write at a database server takes along so that searches find it."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from menos_vault.models import Content
from menos_vault.records import schema
from menos_vault.records.answers import Ask, lists
from menos_vault.records.connection import Connection
from menos_vault.records.migrations import migrate
from menos_vault.records.rows import chunk_key
from menos_vault.records.server import statements
from menos_vault.records.server.index import ServerIndex
from menos_vault.records.server.words import TOGETHER, insertions, prepare_words, word_rows
from menos_vault.records.upkeep import Together, Written
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
    def writing(self, content_ids: Sequence[str]) -> Iterator["_Writing"]:
        """Write at any time; the database has all writers take turns."""
        yield _Writing(self.connection)

    def expect(self, model: str, dimension: int) -> None:
        """Make the vector index if there is none."""
        self.connection.ask(schema.vector_index(dimension))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class _Writing:
    """See `menos_vault.records.upkeep.Writing`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def with_contents(self, rows: Mapping[str, dict[str, Any]]) -> list[str]:
        """Write titles to the words."""
        titled = [content_id for content_id, row in rows.items() if "title" in row]
        return statements.retitle(titled) if titled else []

    def after_contents(self, contents: Sequence[Content], answers: Sequence[Any]) -> None:
        """Write titles to those of the words that were too many."""
        for record in answers[-1] if answers else []:
            _retitle(self._connection, record.id)

    def with_chunks(self, counts: Mapping[str, int]) -> Together:
        """Write the words, if they are not too many; else no content counts as done."""
        also = [statements.take_turn(counts), statements.delete(counts)]
        keys = _keys(counts)
        if len(keys) > TOGETHER:
            return Together(also, complete=False)
        return Together([*also, statements.INSERT], {"words": word_rows(keys)})

    def after_chunks(self, written: Mapping[str, Written]) -> None:
        """Write the words that were too many; then it is done."""
        from surrealdb import RecordID

        keys = _keys({content_id: len(one.chunks) for content_id, one in written.items()})
        if len(keys) <= TOGETHER:
            return
        for statement, variables in insertions(keys):
            self._connection.ask(statement, **variables)
        for content_id, one in written.items():
            self._connection.ask(
                schema.FINISH_CHUNKS,
                chunk_set=RecordID("chunk_set", content_id),
                version=one.note.version,
                fingerprint=one.note.fingerprint,
            )

    def with_deletion(self, content_id: str) -> list[str]:
        """Delete the words."""
        return [statements.leave(content_id), statements.delete({content_id: 0})]

    def after_deletion(self, content_id: str) -> None:
        """All is done."""


def _keys(counts: Mapping[str, int]) -> list[str]:
    return [
        chunk_key(content_id, index)
        for content_id, count in counts.items()
        for index in range(count)
    ]


def _retitle(connection: Connection, content_id: str) -> None:
    """Write a content's title to all of its words, part by part."""
    part = schema.transaction(*statements.retitle([content_id]))
    while lists(connection.ask(part))[-1]:
        pass
