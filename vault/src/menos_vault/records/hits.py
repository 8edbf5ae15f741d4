"""From what an index found to hits with their texts."""

from collections.abc import Sequence
from typing import Any

from menos_vault.models import Chunk, Hit, Passage
from menos_vault.records import schema
from menos_vault.records.connection import Connection
from menos_vault.records.index.local import Found, highlights
from menos_vault.records.rows import chunk_from_row, chunk_record, content_from_row, record_of
from menos_vault.records.server.sheet import marks


def read_hits(
    connection: Connection, found: Sequence[Found], query: str, *, grouped: bool
) -> list[Hit]:
    """Read contents and chunks; what was deleted meanwhile is left out.

    Words of the query are marked; an index that marked them itself is not given it.
    """
    if not found:
        return []
    chunk_rows = [item.rows[0] for item in found if item.rows]
    content_rows = [item.rows[1] for item in found if item.rows]
    if places := [item.place for item in found if not item.rows]:
        ids = dict.fromkeys(place.content_id for place in places)
        more_chunks, more_contents = connection.ask(
            schema.READ_HITS,
            chunks=[chunk_record(*place) for place in places],
            contents=[record_of("content", identity) for identity in ids],
        )
        chunk_rows += more_chunks
        content_rows += more_contents
    # Those that came along do so with each of their passages; to make one takes milliseconds.
    rows = {row["id"].id: row for row in content_rows}
    contents = {identity: content_from_row(row) for identity, row in rows.items()}
    chunks = {(row["content"].id, row["index"]): chunk_from_row(row) for row in chunk_rows}
    found = _marked(found, chunks, query)
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


def _marked(
    found: Sequence[Found], chunks: dict[tuple[str, int], Chunk], query: str
) -> Sequence[Found]:
    if not query:
        return found
    texts = [chunks[item.place].text if item.place in chunks else "" for item in found]
    return [
        item._replace(marked=text) for item, text in zip(found, marks(query, texts), strict=True)
    ]


def _passage(item: Found, chunk: Chunk) -> dict[str, Any]:
    score = item.keywords if item.similarity is None else item.similarity
    return {
        "chunk": chunk,
        "score": item.combined if score is None else score,
        "combined": item.combined,
        "similarity": item.similarity,
        "keywords": item.keywords,
        "neighbours": item.neighbours,
        "highlights": highlights(item.marked, chunk.text),
    }
