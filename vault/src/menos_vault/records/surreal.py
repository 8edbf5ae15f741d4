"""Records in SurrealDB."""

import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from menos_vault.errors import (
    ContentNotFound,
    EmbeddingMismatch,
    InvalidContent,
    RecordsFailed,
    VaultClosed,
)
from menos_vault.models import Chunk, Content, Counts, Hit, content_id
from menos_vault.records import schema
from menos_vault.records.connection import Connection
from menos_vault.records.fields import ContentChanges, ContentFields, check_numbers, valid_fields
from menos_vault.records.rows import chunk_from_row, chunk_rows, content_from_row, nulls
from menos_vault.settings import VaultSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from surrealdb import RecordID

_ID = re.compile(r"[0-9a-f]{32}")
_MOST_CHUNKS = 1_000_000  # what six digits in an id can count
_BATCH = 500  # rows per INSERT; one transaction has as many of these as it needs
_LONGEST_LIST = 1000


class SurrealRecords:
    """Contents, chunks and vectors in SurrealDB. See `menos_vault.records.Records`."""

    def __init__(self, settings: VaultSettings) -> None:
        """Remember where; the database is opened at the first call."""
        self._settings = settings
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._closed = False
        self._indexed: tuple[str, int] | None = None

    def put_content(
        self, resource_key: str, *, content_type: str, title: str, **fields: Unpack[ContentFields]
    ) -> Content:
        """Upsert by merge, under an id that follows from the key: two writers never clash."""
        if not resource_key:
            raise InvalidContent("content field 'resource_key' is refused: it is empty")
        given = {
            **fields,
            "resource_key": resource_key,
            "content_type": content_type,
            "title": title,
        }
        row = _writable(valid_fields(given, keep_none=False))
        identity = _content_record(content_id(resource_key))
        [rows] = self._open().ask(schema.UPSERT_CONTENT, id=identity, fields=row)
        return content_from_row(rows[0])

    def get_content(self, content_id: str) -> Content:
        """Select by id."""
        [rows] = self._open().ask("SELECT * FROM $id", id=_content_record(content_id))
        if not rows:
            raise ContentNotFound(content_id)
        return content_from_row(rows[0])

    def update_content(self, content_id: str, **fields: Unpack[ContentChanges]) -> Content:
        """Update by merge; UPDATE, unlike UPSERT, makes no row."""
        row = _writable(valid_fields(dict(fields), keep_none=True))
        identity = _content_record(content_id)
        [rows] = self._open().ask(schema.UPDATE_CONTENT, id=identity, fields=row)
        if not rows:
            raise ContentNotFound(content_id)
        return content_from_row(rows[0])

    def list_contents(self, limit: int = 100, offset: int = 0) -> list[Content]:
        """Select a page; the id settles what was created in the same instant."""
        _check_limit(limit)
        if offset < 0:
            raise InvalidContent(f"offset must be 0 or more, not {offset}")
        [rows] = self._open().ask(schema.LIST_CONTENTS, limit=limit, offset=offset)
        return [content_from_row(row) for row in rows]

    def replace_chunks(
        self,
        content_id: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        model: str,
    ) -> None:
        """Write all chunks and delete the leftovers of a longer version, in one transaction."""
        identity = _content_record(content_id)
        dimension = _check_vectors(chunks, vectors, model)
        connection = self._open()
        if chunks:
            self._claim(connection, (model, dimension))
        rows = chunk_rows(content_id, chunks, vectors, model)
        batches = {
            f"rows{number}": rows[start : start + _BATCH]
            for number, start in enumerate(range(0, len(rows), _BATCH))
        }
        statement = schema.replace_chunks(content_id, len(rows), len(batches))
        try:
            connection.ask(statement, id=identity, model=model, dimension=dimension, **batches)
        except RecordsFailed as failure:
            if schema.NO_CONTENT in str(failure):
                raise ContentNotFound(content_id) from None
            if schema.OTHER_MODEL in str(failure):
                self._indexed = None
                self._claim(connection, (model, dimension))
            raise

    def chunks(self, content_id: str) -> list[Chunk]:
        """Select by record range, which is also the order of indexes."""
        identity = _content_record(content_id)
        known, rows = self._open().ask(schema.read_chunks(content_id), id=identity)
        if not known:
            raise ContentNotFound(content_id)
        return [chunk_from_row(row) for row in rows]

    def search(self, vector: "NDArray[np.float32]", *, model: str, limit: int = 10) -> list[Hit]:
        """Ask the index for candidates and order them exactly; scan all if it finds too few."""
        _check_limit(limit)
        if vector.ndim != 1:
            raise InvalidContent(f"a query vector has one dimension, not shape {vector.shape}")
        connection = self._open()
        stored = _stored_model(connection)
        if stored is None:
            return []
        _check_model(stored, (model, len(vector)))
        self._index(connection, stored)
        variables = {"vector": _finite(vector).tolist(), "limit": limit}
        [rows] = connection.ask(schema.nearest(limit), **variables)
        if len(rows) < limit:
            # Either there are no more rows, then this is quick, or the index came short.
            [rows] = connection.ask(schema.NEAREST_EXACT, **variables)
        found = list({row["content"].id: row["content"] for row in rows}.values())
        [content_rows] = connection.ask("SELECT * FROM $ids", ids=found)
        contents = {row["id"].id: content_from_row(row) for row in content_rows}
        return [
            Hit(content=contents[row["content"].id], chunk=chunk_from_row(row), score=row["score"])
            for row in rows
            if row["content"].id in contents
        ]

    def counts(self) -> Counts:
        """Count both tables."""
        contents, chunks = self._open().ask(schema.COUNTS)
        return Counts(contents[0]["count"] if contents else 0, chunks[0]["count"] if chunks else 0)

    def change_model(self, model: str, dimension: int) -> None:
        """Empty all vectors in one transaction, then make the new index."""
        connection = self._open()
        if _stored_model(connection) != (model, dimension):
            self._indexed = None
            connection.ask(schema.CHANGE_MODEL, model=model, dimension=dimension)
        self._index(connection, (model, dimension))

    def ping(self) -> None:
        """Open if need be, and evaluate a constant."""
        self._open().ask("RETURN 1")

    def close(self) -> None:
        """Close for good."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> Connection:
        with self._lock:
            if self._closed:
                raise VaultClosed("the vault was closed; open it again")
            if self._connection is None:
                self._connection = Connection(self._settings)
            return self._connection

    def _claim(self, connection: Connection, wanted: tuple[str, int]) -> None:
        """Make this the vault's model if it has none yet, and see that the index exists.

        Raises EmbeddingMismatch if it has another one.
        """
        if self._indexed == wanted:
            return
        connection.ask(schema.CLAIM_MODEL, model=wanted[0], dimension=wanted[1])
        stored = _stored_model(connection)
        if stored is not None:
            _check_model(stored, wanted)
        self._index(connection, wanted)

    def _index(self, connection: Connection, model: tuple[str, int]) -> None:
        """See that the vector index exists; a process may have died before it made it."""
        if self._indexed != model:
            connection.ask(schema.vector_index(model[1]))
            self._indexed = model


def _content_record(content_id: str) -> "RecordID":
    """Return the record id; raises ContentNotFound for what cannot be an id."""
    from surrealdb import RecordID

    if not _ID.fullmatch(content_id):
        raise ContentNotFound(content_id)
    return RecordID("content", content_id)


def _writable(fields: dict[str, Any]) -> dict[str, Any]:
    if "metadata" in fields:
        check_numbers(fields["metadata"], "metadata")
        fields["metadata"] = nulls(fields["metadata"])
    return fields


def _stored_model(connection: Connection) -> tuple[str, int] | None:
    [rows] = connection.ask(schema.EMBEDDING)
    return (rows[0]["model"], rows[0]["dimension"]) if rows else None


def _check_model(stored: tuple[str, int], wanted: tuple[str, int]) -> None:
    if stored != wanted:
        raise EmbeddingMismatch(
            f"the vault's vectors are from {stored[0]!r} with {stored[1]} dimensions, these are "
            f"from {wanted[0]!r} with {wanted[1]}; use the first model, or reindex the vault "
            "(Vault.reindex)"
        )


def _check_vectors(chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", model: str) -> int:
    """Return the dimension. Raises InvalidContent if vectors and chunks do not fit together."""
    if len(chunks) > _MOST_CHUNKS:
        raise InvalidContent(f"a content has at most {_MOST_CHUNKS} chunks, not {len(chunks)}")
    if vectors.ndim != 2 or len(vectors) != len(chunks):
        raise InvalidContent(
            f"{len(chunks)} chunks need vectors of shape ({len(chunks)}, d), not {vectors.shape}"
        )
    if [chunk.index for chunk in chunks] != list(range(len(chunks))):
        raise InvalidContent("the chunks' indexes must be 0, 1, 2 … in order")
    if not model:
        raise InvalidContent("the name of the embedding model is empty")
    _finite(vectors)
    return int(vectors.shape[1])


def _finite(vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Refuse vectors that have no direction: NaN, infinite or all zero."""
    import numpy as np

    lengths = np.linalg.norm(np.atleast_2d(vectors), axis=1)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise InvalidContent("a vector is all zero, infinite or not a number")
    return vectors


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= _LONGEST_LIST:
        raise InvalidContent(f"limit must be 1 to {_LONGEST_LIST}, not {limit}")
