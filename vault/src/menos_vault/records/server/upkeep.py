"""What a write at a database server takes along so that searches find it."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from menos_vault.errors import VaultError
from menos_vault.models import Content
from menos_vault.records import schema
from menos_vault.records.answers import Ask, lists
from menos_vault.records.connection import Connection
from menos_vault.records.migrations import migrate
from menos_vault.records.rows import chunk_key, record_of
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
        self._outdated: set[str] = set()
        try:
            self._index = ServerIndex(self.connection)
            # Somebody was cut short.
            [outdated] = self.connection.ask(statements.OUTDATED)
            self._retitle_all(record.id for record in outdated)
        except BaseException:
            self.connection.close()
            raise

    @property
    def index(self) -> ServerIndex:
        """The index, in step with the records as far as it can be written."""
        self._catch_up()
        return self._index

    def stored(self, vectors: "NDArray[np.float32]") -> Sequence[Any]:
        """As Python's floats, the only numbers that the client takes, for its vector index."""
        return vectors.tolist()  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def writing(self, content_ids: Sequence[str]) -> Iterator["_Writing"]:
        """Write at any time; the database has all writers take turns."""
        self._catch_up()
        yield _Writing(self.connection, self._retitle_all)

    def expect(self, model: str, dimension: int) -> None:
        """Make the vector index if there is none."""
        self.connection.ask(statements.vector_index(dimension))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _catch_up(self) -> None:
        """Go on with titles on which a write of this process failed.

        The call that wrote may not do so again when it is tried again, as its record is there.
        """
        with contextlib.suppress(VaultError):
            self._retitle_all([])

    def _retitle_all(self, content_ids: Iterable[str]) -> None:
        """Write titles to all words of contents, and of those on which that failed before."""
        left = set(content_ids)
        with contextlib.suppress(KeyError):  # there are no more
            while True:
                left.add(self._outdated.pop())
        try:
            while left:
                content_id = next(iter(left))
                _retitle(self.connection, content_id)
                left.discard(content_id)
        finally:
            self._outdated.update(left)


class _Writing:
    """See `menos_vault.records.upkeep.Writing`."""

    def __init__(
        self, connection: Connection, retitle_all: Callable[[Iterable[str]], None]
    ) -> None:
        self._connection = connection
        self._retitle_all = retitle_all

    def with_contents(self, rows: Mapping[str, dict[str, Any]]) -> list[str]:
        """Write titles to the words."""
        titled = [content_id for content_id, row in rows.items() if "title" in row]
        return statements.retitle(titled) if titled else []

    def after_contents(self, contents: Sequence[Content], answers: Sequence[Any]) -> None:
        """Write titles to those of the words that were too many."""
        self._retitle_all(record.id for record in (answers[-1] if answers else []))

    def with_chunks(self, counts: Mapping[str, int]) -> Together:
        """Write the words, if they are not too many; else no content counts as done."""
        also = [statements.take_turn(counts), statements.delete(counts)]
        keys = _keys(counts)
        if len(keys) > TOGETHER:
            return Together(also, complete=False)
        return Together([*also, statements.INSERT], {"words": word_rows(keys)})

    def after_chunks(self, written: Mapping[str, Written]) -> None:
        """Write the words that were too many; then it is done."""
        keys = _keys({content_id: len(one.chunks) for content_id, one in written.items()})
        if len(keys) <= TOGETHER:
            return
        for statement, variables in insertions(keys):
            self._connection.ask(statement, **variables)
        for content_id, one in written.items():
            self._connection.ask(
                schema.FINISH_CHUNKS,
                chunk_set=record_of("chunk_set", content_id),
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
