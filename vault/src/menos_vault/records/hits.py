"""From what an index found to hits with their texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from menos_vault.errors import RecordsFailed
from menos_vault.models import Chunk, Hit, Passage
from menos_vault.records import schema
from menos_vault.records.connection import Connection
from menos_vault.records.filters import Filters
from menos_vault.records.index.local import Found, highlights
from menos_vault.records.rows import chunk_from_row, content_from_row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_hits(connection: Connection, found: Sequence[Found], *, grouped: bool) -> list[Hit]:
    """Read contents and chunks; what was deleted meanwhile is left out."""
    from surrealdb import RecordID

    if not found:
        return []
    ids = list(dict.fromkeys(item.place.content_id for item in found))
    chunk_rows, content_rows = connection.ask(
        schema.READ_HITS,
        chunks=[RecordID("chunk", f"{p.content_id}_{p.chunk:06d}") for p in _places(found)],
        contents=[RecordID("content", identity) for identity in ids],
    )
    contents = {row["id"].id: content_from_row(row) for row in content_rows}
    chunks = {(row["content"].id, row["index"]): chunk_from_row(row) for row in chunk_rows}
    hits: list[Hit] = []
    for item in found:
        content, chunk = contents.get(item.place.content_id), chunks.get(item.place)
        if content is None or chunk is None:
            continue
        passage = _passage(item, chunk)
        if grouped and hits and hits[-1].content.id == content.id:
            hits[-1].others.append(Passage(**passage))
        else:
            hits.append(Hit(**passage, content=content))
    return hits


def search_in_database(
    connection: Connection,
    vector: "NDArray[np.float32] | None",
    limit: int,
    offset: int,
    query: str,
    filters: Filters,
) -> list[Hit]:
    """Ask a server's own vector index for candidates, and order them exactly.

    It searches by meaning only.
    """
    if filters:
        raise RecordsFailed("a database server cannot be searched with filters yet")
    if vector is None:
        if query:
            raise RecordsFailed("a database server cannot be searched by words yet")
        return []
    wanted = limit + offset
    variables = {"vector": vector.tolist(), "limit": wanted}
    [rows] = connection.ask(schema.nearest(wanted), **variables)
    if len(rows) < wanted:
        # Either there are no more rows, then this is quick, or the index came short.
        [rows] = connection.ask(schema.NEAREST_EXACT, **variables)
    rows = rows[offset:]
    found = list({row["content"].id: row["content"] for row in rows}.values())
    [content_rows] = connection.ask("SELECT * FROM $ids", ids=found)
    contents = {row["id"].id: content_from_row(row) for row in content_rows}
    return [
        Hit(
            content=contents[row["content"].id],
            chunk=chunk_from_row(row),
            score=row["score"],
            combined=row["score"],
            similarity=row["score"],
        )
        for row in rows
        if row["content"].id in contents
    ]


def _places(found: Sequence[Found]) -> list[Any]:
    return [item.place for item in found]


def _passage(item: Found, chunk: Chunk) -> dict[str, Any]:
    score = item.keywords if item.similarity is None else item.similarity
    return {
        "chunk": chunk,
        "score": item.combined if score is None else score,
        "combined": item.combined,
        "similarity": item.similarity,
        "keywords": item.keywords,
        "highlights": highlights(item.marked, chunk.text),
    }
