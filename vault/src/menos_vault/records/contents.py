"""The records of contents: read, and written with what has to go along."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from menos_vault.errors import ContentChanged, ContentNotFound, RecordsFailed
from menos_vault.models import Content
from menos_vault.records import schema
from menos_vault.records.answers import lists
from menos_vault.records.connection import Connection
from menos_vault.records.fields import check_numbers, published
from menos_vault.records.rows import content_from_row, nulls, record_of
from menos_vault.records.tags import concerns_tags, with_all_tags
from menos_vault.records.upkeep import Upkeep, Writing

if TYPE_CHECKING:
    from surrealdb import RecordID


def get(connection: Connection, content_id: str) -> Content:
    """Return a content. Raises ContentNotFound."""
    content = _find(connection, record_of("content", content_id))
    if content is None:
        raise ContentNotFound(content_id)
    return content


def write(
    upkeep: Upkeep,
    statement: str,
    content_id: str,
    fields: dict[str, Any],
    unchanged_since: datetime | None = None,
) -> Content:
    """Write valid fields by a statement, with the tags that do not come from who writes now.

    With `unchanged_since` only if nobody has written the record since. Raises ContentNotFound,
    ContentChanged.
    """
    identity = record_of("content", content_id)  # before anything is noted under a wrong one
    connection = upkeep.connection
    with upkeep.writing(content_id) as writing:
        seen = None if unchanged_since is None else [unchanged_since]
        while True:
            together, last = fields, seen
            if concerns_tags(fields):
                stored = _find(connection, identity)
                together = with_all_tags(fields, stored)
                last = seen or ([] if stored is None else [stored.updated_at])
            try:
                return _write(connection, writing, statement, identity, together, last)
            except ContentChanged:
                if seen is not None:
                    get(connection, content_id)  # it may be gone altogether
                    raise
            # Somebody wrote it in between, and may have changed the tags.


def _write(
    connection: Connection,
    writing: Writing,
    statement: str,
    identity: "RecordID",
    fields: dict[str, Any],
    seen: list[datetime] | None,
) -> Content:
    """Write the fields; unless `seen` is None only if the record was not written since."""
    row = _writable(fields)
    guard = "" if seen is None else schema.UNCHANGED
    try:
        results = connection.ask(
            schema.transaction(guard, statement, *writing.with_content(row)),
            id=identity,
            fields=row,
            seen=seen,
        )
    except RecordsFailed as failure:
        if schema.CONTENT_CHANGED in str(failure):
            raise ContentChanged(str(identity.id)) from None
        raise
    rows, *answers = lists(results)
    if not rows:
        raise ContentNotFound(str(identity.id))
    content = content_from_row(rows[0])
    writing.after_content(content, answers)
    return content


def _find(connection: Connection, identity: "RecordID") -> Content | None:
    [rows] = connection.ask("SELECT * FROM $id", id=identity)
    return content_from_row(rows[0]) if rows else None


def _writable(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields as the database takes them; a time of publication among the metadata counts."""
    fields = dict(fields)
    if "metadata" in fields:
        check_numbers(fields["metadata"], "metadata")
        if "published_at" not in fields and (moment := published(fields["metadata"])) is not None:
            fields["published_at"] = moment
        fields["metadata"] = nulls(fields["metadata"])
    return fields
