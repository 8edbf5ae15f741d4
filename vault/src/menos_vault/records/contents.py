"""The records of contents: read, and written with what has to go along."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from menos_vault.errors import ContentNotFound, RecordsFailed
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


def get_many(connection: Connection, content_ids: Sequence[str]) -> dict[str, Content]:
    """Return those contents that there are, by id."""
    if not content_ids:
        return {}
    identities = [record_of("content", content_id) for content_id in content_ids]
    [rows] = connection.ask("SELECT * FROM $ids", ids=identities)
    return {content.id: content for content in map(content_from_row, rows)}


def write(
    upkeep: Upkeep,
    statement: str,
    content_id: str,
    fields: dict[str, Any],
) -> Content:
    """Write valid fields by a statement, with the tags that do not come from who writes now.

    Raises ContentNotFound.
    """
    identity = record_of("content", content_id)  # before anything is noted under a wrong one
    connection = upkeep.connection
    with upkeep.writing(content_id) as writing:
        while concerns_tags(fields):
            stored = _find(connection, identity)
            seen = [] if stored is None else [stored.updated_at]
            together = with_all_tags(fields, stored)
            with suppress(_Changed):  # somebody wrote it in between, and may have changed the tags
                return _write(connection, writing, statement, identity, together, seen)
        return _write(connection, writing, statement, identity, fields)


def set_status(upkeep: Upkeep, seen: Sequence[Content], fields: dict[str, Any]) -> set[str]:
    """Write valid fields `status` and `error` of those contents that nobody has written since.

    What stands there already is left as it is. Returns the ids of all that are as they should be.
    """
    connection = upkeep.connection
    known, others = [], {}
    for content in seen:
        if (content.status, content.error) == (fields["status"], fields["error"]):
            known.append(content)
        else:
            others[content.id] = content.updated_at
    now = get_many(connection, [content.id for content in known])
    noted = {content.id for content in known if now.get(content.id) == content}
    if not others:
        return noted
    records = {content_id: record_of("content", content_id) for content_id in others}
    with upkeep.writing_status(list(others)) as after:
        results = connection.ask(
            schema.SET_STATUS,
            ids=list(records.values()),
            seen=[[records[content_id], moment] for content_id, moment in others.items()],
            fields=fields,
        )
        [rows] = lists(results)
        contents = [content_from_row(row) for row in rows]
        after(contents)
    return noted | {content.id for content in contents}


class _Changed(Exception):
    """The record was written meanwhile."""


def _write(
    connection: Connection,
    writing: Writing,
    statement: str,
    identity: "RecordID",
    fields: dict[str, Any],
    seen: list[datetime] | None = None,
) -> Content:
    """Write the fields; with `seen` only if the record was not written since. Raises _Changed."""
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
            raise _Changed from None
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
