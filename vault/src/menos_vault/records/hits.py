"""From what an index found to hits with their texts."""

from collections.abc import Sequence
from typing import Any

from menos_vault.models import Chunk, Hit, Passage
from menos_vault.records import schema
from menos_vault.records.connection import Connection
from menos_vault.records.highlights import highlights
from menos_vault.records.index.local import Found
from menos_vault.records.index.tables import Place
from menos_vault.records.rows import chunk_from_row, chunk_record, content_from_row, record_of


def read_hits(
    connection: Connection, found: Sequence[Found], query: str, *, grouped: bool
) -> list[Hit]:
    """Read contents and chunks, and look for the words of the query in the texts.

    What was deleted meanwhile is left out.
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
    chunks = {Place(row["content"].id, row["index"]): chunk_from_row(row) for row in chunk_rows}
    there = [item for item in found if item.place in chunks and item.place.content_id in contents]
    highlighted = highlights(query, [chunks[item.place].text for item in there])
    hits: list[Hit] = []
    for item, marks in zip(there, highlighted, strict=True):
        content = contents[item.place.content_id]
        passage = _passage(item, chunks[item.place], marks)
        if grouped and hits and hits[-1].content.id == content.id:
            hits[-1].others.append(Passage(**passage))
        else:
            hits.append(Hit(**passage, content=content))
    return hits


def _passage(item: Found, chunk: Chunk, marks: list[tuple[int, int]]) -> dict[str, Any]:
    score = item.keywords if item.similarity is None else item.similarity
    return {
        "chunk": chunk,
        "score": item.combined if score is None else score,
        "combined": item.combined,
        "similarity": item.similarity,
        "keywords": item.keywords,
        "neighbours": item.neighbours,
        "highlights": marks,
    }
