"""Records in SurrealDB."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from menos_vault.errors import ContentNotFound, InvalidContent, VaultClosed
from menos_vault.models import (
    Chunk,
    ChunkSet,
    Content,
    Counts,
    Hit,
    NewChunks,
    Statistics,
    content_id,
)
from menos_vault.records import chunk_sets, contents, schema
from menos_vault.records.checks import check_model, check_page, check_query
from menos_vault.records.connection import Connection
from menos_vault.records.fields import (
    ContentChanges,
    ContentFields,
    NewContent,
    valid_fields,
)
from menos_vault.records.filters import NO_FILTERS, Filters, filter_conditions
from menos_vault.records.hits import read_hits
from menos_vault.records.keeper import Keeper
from menos_vault.records.rows import (
    chunk_from_row,
    chunk_set_from_row,
    content_from_row,
    record_of,
)
from menos_vault.records.server.upkeep import ServerUpkeep
from menos_vault.records.upkeep import Upkeep
from menos_vault.settings import VaultSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SurrealRecords:
    """Contents, chunks and vectors in SurrealDB. See `menos_vault.records.Records`."""

    def __init__(self, settings: VaultSettings) -> None:
        """Remember where; the database is opened at the first call."""
        self._settings = settings
        self._lock = threading.Lock()
        self._closed = False
        self._opened: Upkeep | None = None
        self._claimed: tuple[str, int] | None = None

    def put_content(
        self, resource_key: str, *, content_type: str, title: str, **fields: Unpack[ContentFields]
    ) -> Content:
        """Put one."""
        [content] = self.put_contents(
            [{**fields, "resource_key": resource_key, "content_type": content_type, "title": title}]
        )
        return content

    def put_contents(self, new: Sequence[NewContent]) -> list[Content]:
        """Upsert by merge, under ids that follow from the keys: two writers never clash."""
        rows = {}
        for one in new:
            if not one["resource_key"]:
                raise InvalidContent("content field 'resource_key' is refused: it is empty")
            rows[content_id(one["resource_key"])] = valid_fields({**one}, keep_none=False)
        written = {one.id: one for one in contents.write(self._upkeep, "UPSERT", rows)}
        return [written[content_id(one["resource_key"])] for one in new]

    def get_content(self, content_id: str) -> Content:
        """Select by id."""
        return contents.get(self._open(), content_id)

    def get_contents(self, content_ids: Sequence[str]) -> dict[str, Content]:
        """Select by ids."""
        return contents.get_many(self._open(), content_ids)

    def update_content(self, content_id: str, **fields: Unpack[ContentChanges]) -> Content:
        """Update by merge."""
        valid = valid_fields(dict(fields), keep_none=True)
        [content] = contents.write(self._upkeep, "UPDATE", {content_id: valid})
        return content

    def set_status(
        self, seen: Sequence[Content], status: str | None, error: str | None = None
    ) -> set[str]:
        """Update those that have the time that was seen."""
        valid = valid_fields({"status": status, "error": error}, keep_none=True)
        return contents.set_status(self._upkeep, seen, valid)

    def delete_content(self, content_id: str) -> None:
        """Delete record and chunks, and note who had stored it, in one transaction."""
        contents.delete(self._upkeep, content_id)

    def deleted_stores(self, content_ids: Sequence[str]) -> dict[str, list[str]]:
        """Select by ids."""
        return contents.deleted_stores(self._open(), content_ids)

    def list_contents(
        self, limit: int = 100, offset: int = 0, *, filters: Filters = NO_FILTERS
    ) -> list[Content]:
        """Select a page; the id settles what was created in the same instant."""
        check_page(limit, offset)
        conditions, variables = filter_conditions(filters)
        statement = schema.list_contents(conditions)
        [rows] = self._open().ask(statement, limit=limit, offset=offset, **variables)
        return [content_from_row(row) for row in rows]

    def count_contents(self, filters: Filters = NO_FILTERS) -> int:
        """Ask the index, which has what filters look at."""
        return self._upkeep.index.count(filters)

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
        """Replace those of one."""
        new = NewChunks(content_id, chunks, vectors, fingerprint)
        self.replace_many_chunks([new], model=model, chunker=chunker)

    def replace_many_chunks(
        self, new: Sequence[NewChunks], *, model: str, chunker: str = ""
    ) -> None:
        """Write all chunks and delete the leftovers of longer versions, in one transaction."""
        if not new:
            return
        written, dimension = chunk_sets.to_write(new, model, chunker)
        if dimension:
            self._claim((model, dimension))
        try:
            chunk_sets.replace(self._upkeep, written, (model, dimension))
        except chunk_sets.OtherModel:
            # Another process changed it, or somebody emptied the database.
            self._claimed = None
            self._claim((model, dimension))
            chunk_sets.replace(self._upkeep, written, (model, dimension))

    def chunks(self, content_id: str) -> list[Chunk]:
        """Select by record range, which is also the order of indexes."""
        identity = record_of("content", content_id)
        known, rows = self._open().ask(schema.read_chunks(content_id), id=identity)
        if not known:
            raise ContentNotFound(content_id)
        return [chunk_from_row(row) for row in rows]

    def chunk_set(self, content_id: str) -> ChunkSet | None:
        """Select by id."""
        [rows] = self._open().ask("SELECT * FROM $id", id=record_of("chunk_set", content_id))
        return chunk_set_from_row(rows[0]) if rows else None

    def chunk_sets(self, content_ids: Sequence[str] | None = None) -> dict[str, ChunkSet]:
        """Select all, or by ids."""
        if content_ids is None:
            [rows] = self._open().ask("SELECT * FROM chunk_set")
        else:
            identities = [record_of("chunk_set", content_id) for content_id in content_ids]
            [rows] = self._open().ask("SELECT * FROM $ids", ids=identities)
        return {row["id"].id: chunk_set_from_row(row) for row in rows}

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
        """Ask the index, then read what it found."""
        check_page(limit, offset)
        connection = self._open()
        if vector is not None:
            check_query(vector)
        found = self._upkeep.index.search(
            vector,
            query,
            model=None if vector is None else (model, len(vector)),
            by_words=by_words,
            filters=filters,
            limit=limit,
            offset=offset,
            per_content=per_content,
        )
        return read_hits(connection, found, query, grouped=per_content > 0)

    def similar(
        self,
        content_id: str,
        *,
        limit: int = 10,
        offset: int = 0,
        filters: Filters = NO_FILTERS,
        per_content: int = 1,
    ) -> list[Hit]:
        """Search with the mean of the content's vectors."""
        check_page(limit, offset)
        self.get_content(content_id)
        connection = self._open()
        index = self._upkeep.index
        vector = index.mean(content_id)
        if vector is None:
            return []
        found = index.search(
            vector,
            "",
            by_words=False,
            filters=filters,
            limit=limit,
            offset=offset,
            per_content=per_content,
            without=content_id,
        )
        return read_hits(connection, found, "", grouped=True)

    def counts(self) -> Counts:
        """Count both tables."""
        contents, chunks = self._open().ask(schema.COUNTS)
        return Counts(contents[0]["count"] if contents else 0, chunks[0]["count"] if chunks else 0)

    def statistics(self) -> Statistics:
        """Count both tables, and group contents."""
        contents, chunks = self.counts()
        types, statuses = self._open().ask(schema.STATISTICS)
        model, dimension = self.model() or (None, None)
        return Statistics(
            contents=contents,
            chunks=chunks,
            model=model,
            dimension=dimension,
            content_types={row["name"]: row["count"] for row in types},
            statuses={row["name"] or "none": row["count"] for row in statuses},
        )

    def model(self) -> tuple[str, int] | None:
        """Select the vault's own fact."""
        return schema.model_of(self._open().ask(schema.EMBEDDING))

    def change_model(self, model: str, dimension: int) -> None:
        """Empty all vectors in one transaction."""
        if self.model() != (model, dimension):
            self._claimed = None
            self._open().ask(schema.CHANGE_MODEL, model=model, dimension=dimension)
        self._expect((model, dimension))

    def ping(self) -> None:
        """Open if need be, and evaluate a constant."""
        self._open().ask("RETURN 1")

    def close(self) -> None:
        """Close for good."""
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @property
    def _upkeep(self) -> Upkeep:
        with self._lock:
            if self._closed:
                raise VaultClosed("the vault was closed; open it again")
            if self._opened is None:
                here = self._settings.embedded
                self._opened = Keeper(self._settings) if here else ServerUpkeep(self._settings)
            return self._opened

    def _open(self) -> Connection:
        return self._upkeep.connection

    def _claim(self, wanted: tuple[str, int]) -> None:
        """Make this the vault's model if it has none yet, and have the index expect it.

        Raises EmbeddingMismatch if it has another one.
        """
        if self._claimed == wanted:
            return
        self._open().ask(schema.CLAIM_MODEL, model=wanted[0], dimension=wanted[1])
        stored = self.model()
        if stored is not None:
            check_model(stored, wanted)
        self._expect(wanted)

    def _expect(self, model: tuple[str, int]) -> None:
        """See that the index takes this model's vectors; a process may have died before it did."""
        if self._claimed == model:
            return
        self._upkeep.expect(*model)
        self._claimed = model
