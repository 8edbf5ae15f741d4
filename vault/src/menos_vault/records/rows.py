"""From database rows to models, and back."""

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from menos_vault.models import Chunk, ChunkSet, Content
from menos_vault.records.checks import check_id

if TYPE_CHECKING:
    from surrealdb import RecordID


def record_of(table: str, content_id: str) -> "RecordID":
    """Return a content's record id in a table; raises ContentNotFound for what cannot be an id."""
    from surrealdb import RecordID

    check_id(content_id)
    return RecordID(table, content_id)


def content_from_row(row: dict[str, Any]) -> Content:
    """Make a Content of a row of table `content`."""
    plain = {name: to_python(value) for name, value in row.items() if name != "id"}
    return Content(id=row["id"].id, **plain)


def chunk_from_row(row: dict[str, Any]) -> Chunk:
    """Make a Chunk of a row of table `chunk`."""
    return Chunk(
        index=row["index"], text=row["text"], start=row.get("start"), heading=row.get("heading")
    )


def chunk_set_from_row(row: dict[str, Any]) -> ChunkSet:
    """Make a ChunkSet of a row of table `chunk_set`."""
    return ChunkSet.model_validate({name: row.get(name) for name in ChunkSet.model_fields})


def chunk_set_row(content_hash: str, note: ChunkSet, complete: bool) -> dict[str, Any]:
    """Make a row of table `chunk_set`; without a fingerprint it is that of no text."""
    row = note.model_dump() if complete else {**note.model_dump(), "fingerprint": ""}
    return {"id": record_of("chunk_set", content_hash), **row}


def chunk_key(content_hash: str, index: int) -> str:
    """Return the key of a chunk: of one length, so that order as text is order as numbers."""
    return f"{content_hash}_{index:06d}"


def chunk_record(content_hash: str, index: int) -> "RecordID":
    """Return a chunk's record id."""
    from surrealdb import RecordID

    return RecordID("chunk", chunk_key(content_hash, index))


def chunk_rows(
    content_hash: str, chunks: Sequence[Chunk], embeddings: Sequence[Any], model: str
) -> list[dict[str, Any]]:
    """Make rows of table `chunk`, with vectors as the database is to hold them."""
    content = record_of("content", content_hash)
    return [
        {
            "id": chunk_record(content_hash, chunk.index),
            "content": content,
            "index": chunk.index,
            "text": chunk.text,
            "start": chunk.start,
            "heading": chunk.heading,
            "model": model,
            "embedding": embedding,
        }
        for chunk, embedding in zip(chunks, embeddings, strict=True)
    ]


def nulls(value: Any) -> Any:
    """Replace None by the database's NULL, at any depth.

    The client sends None as NONE, which means "no such field": a key with None would vanish.
    """
    if isinstance(value, dict):
        return {key: nulls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [nulls(item) for item in value]
    return _null() if value is None else value


def to_python(value: Any) -> Any:
    """Replace the client's types by Python's, at any depth."""
    if value is _null():
        return None
    if isinstance(value, dict):
        return {key: to_python(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_python(item) for item in value]
    if isinstance(value, datetime):  # a subclass with nanoseconds, which nobody else knows
        return datetime.combine(value.date(), value.timetz())
    return value


@functools.cache
def _null() -> Any:
    """Import once: to look up a module for each of a row's fields took as long as all the rest."""
    from surrealdb.data.types.null import Null

    return Null
