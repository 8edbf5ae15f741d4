"""The chunks of contents: written together with what is noted of them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from menos_vault.errors import ContentNotFound, RecordsFailed
from menos_vault.models import ChunkSet, NewChunks
from menos_vault.records import contents, schema
from menos_vault.records.checks import check_dimensions, check_id, check_vectors
from menos_vault.records.rows import chunk_rows, chunk_set_row, record_of
from menos_vault.records.upkeep import Upkeep, Written

_BATCH = 500  # rows per INSERT; one transaction has as many of these as it needs


class OtherModel(Exception):
    """The vault's vectors are of another model by now."""


def to_write(new: Sequence[NewChunks], model: str, chunker: str) -> tuple[dict[str, Written], int]:
    """Check chunks; returns what is to be written by content, and the dimension of all vectors.

    It is 0 if there are none. Raises InvalidContent, ContentNotFound for what cannot be an id.
    """
    dimensions = []
    written = {}
    for one in new:
        check_id(one.content_id)
        dimension = check_vectors(one.chunks, one.vectors, model)
        if one.chunks:
            dimensions.append(dimension)
        note = ChunkSet(
            version=uuid.uuid4().hex,
            count=len(one.chunks),
            model=model,
            chunker=chunker,
            fingerprint=one.fingerprint,
        )
        written[one.content_id] = Written(one.chunks, one.vectors, note)
    return written, check_dimensions(dimensions)


def replace(upkeep: Upkeep, written: Mapping[str, Written], model: tuple[str, int]) -> None:
    """Write all chunks and delete the leftovers of longer versions, in one transaction.

    Raises ContentNotFound, and OtherModel if the vault's is not `model`, name and dimension.
    """
    rows = [
        row
        for content_id, one in written.items()
        for row in chunk_rows(content_id, one.chunks, upkeep.stored(one.vectors), model[0])
    ]
    batches = {
        f"rows{number}": rows[start : start + _BATCH]
        for number, start in enumerate(range(0, len(rows), _BATCH))
    }
    counts = {content_id: one.note.count for content_id, one in written.items()}
    with upkeep.writing(list(written)) as writing:
        also = writing.with_chunks(counts)
        notes = [chunk_set_row(name, one.note, also.complete) for name, one in written.items()]
        variables: dict[str, Any] = {
            "ids": [record_of("content", content_id) for content_id in written],
            "notes": notes,
            "model": model[0],
            "dimension": model[1],
            **batches,
            **also.variables,
        }
        statement = schema.replace_chunks(counts, len(batches), *also.statements)
        try:
            upkeep.connection.ask(statement, **variables)
        except RecordsFailed as failure:
            if schema.NO_CONTENT in str(failure):
                known = contents.get_many(upkeep.connection, list(written))
                lost = next((name for name in written if name not in known), next(iter(written)))
                raise ContentNotFound(lost) from None
            if schema.OTHER_MODEL in str(failure):
                raise OtherModel from None
            raise
        writing.after_chunks(written)
