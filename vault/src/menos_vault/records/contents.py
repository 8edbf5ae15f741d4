"""The records of contents: read, and written with what has to go along."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from menos_vault.errors import ContentNotFound, RecordsFailed
from menos_vault.models import Content
from menos_vault.records import schema
from menos_vault.records.answers import lists
from menos_vault.records.checks import check_id
from menos_vault.records.connection import Connection
from menos_vault.records.fields import check_numbers, published
from menos_vault.records.rows import content_from_row, nulls, record_of
from menos_vault.records.tags import concerns_tags, with_all_tags
from menos_vault.records.upkeep import Upkeep, Writing

_CALLS = 16
"""Calls that are known to have stored a content: more than will be under way at the same time."""


def get(connection: Connection, content_id: str) -> Content:
    """Return a content. Raises ContentNotFound."""
    [rows] = connection.ask("SELECT * FROM $id", id=record_of("content", content_id))
    if not rows:
        raise ContentNotFound(content_id)
    return content_from_row(rows[0])


def get_many(connection: Connection, content_ids: Sequence[str]) -> dict[str, Content]:
    """Return those contents that there are, by id."""
    if not content_ids:
        return {}
    identities = [record_of("content", content_id) for content_id in content_ids]
    [rows] = connection.ask("SELECT * FROM $ids", ids=identities)
    return {content.id: content for content in map(content_from_row, rows)}


def write(
    upkeep: Upkeep, verb: Literal["UPSERT", "UPDATE"], fields: Mapping[str, dict[str, Any]]
) -> list[Content]:
    """Write valid fields of contents, by id, with the tags that do not come from who writes now.

    All or none. Raises ContentNotFound.
    """
    if not fields:
        return []
    for content_id in fields:
        check_id(content_id)  # before anything is noted under a wrong one
    concerned = [content_id for content_id, given in fields.items() if _adds(given)]
    with upkeep.writing(list(fields)) as writing:
        while True:
            stored = get_many(upkeep.connection, concerned)
            rows = {
                content_id: _writable(_added(given, stored.get(content_id)))
                for content_id, given in fields.items()
            }
            # Somebody may write one in between, and change what was added to.
            with suppress(_Changed):
                return _write(upkeep.connection, writing, verb, rows, concerned, stored)


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
    with upkeep.writing(list(others)) as writing:
        results = connection.ask(
            schema.SET_STATUS,
            ids=list(records.values()),
            seen=[[records[content_id], moment] for content_id, moment in others.items()],
            fields=fields,
        )
        [rows] = lists(results)
        contents = [content_from_row(row) for row in rows]
        writing.after_contents(contents, [])
    return noted | {content.id for content in contents}


def delete(upkeep: Upkeep, content_id: str) -> None:
    """Delete a record with its chunks, and note which calls had stored it, in one transaction.

    Raises ContentNotFound.
    """
    with upkeep.writing([content_id]) as writing:
        get(upkeep.connection, content_id)
        upkeep.connection.ask(
            schema.delete_content(content_id, *writing.with_deletion(content_id)),
            id=record_of("content", content_id),
            chunk_set=record_of("chunk_set", content_id),
            deletion=record_of("deletion", content_id),
            calls=_CALLS,
        )
        writing.after_deletion(content_id)


def deleted_stores(connection: Connection, content_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return of deleted contents which calls had stored them, by id."""
    if not content_ids:
        return {}
    identities = [record_of("deletion", content_id) for content_id in content_ids]
    [rows] = connection.ask("SELECT * FROM $ids", ids=identities)
    return {row["id"].id: row["stored_by"] for row in rows}


def _adds(fields: dict[str, Any]) -> bool:
    """Say whether what a write of these fields leaves depends on what is stored."""
    return "stored_by" in fields or "created_at" in fields or concerns_tags(fields)


def _added(fields: dict[str, Any], stored: Content | None) -> dict[str, Any]:
    """Return fields with what stays of those that are stored."""
    if concerns_tags(fields):
        fields = with_all_tags(fields, stored)
    if stored is not None:
        fields = {name: value for name, value in fields.items() if name != "created_at"}
    if caller := fields.get("stored_by"):
        others = [] if stored is None else [one for one in stored.stored_by if one != caller]
        fields = {**fields, "stored_by": [*others, caller][-_CALLS:]}
    return fields


class _Changed(Exception):
    """The record was written meanwhile."""


def _write(
    connection: Connection,
    writing: Writing,
    verb: Literal["UPSERT", "UPDATE"],
    rows: Mapping[str, dict[str, Any]],
    guarded: Sequence[str],
    stored: Mapping[str, Content],
) -> list[Content]:
    """Write the rows if those guarded are as they are stored. Raises _Changed."""
    ids = {content_id: record_of("content", content_id) for content_id in rows}
    seen = [[ids[name], stored[name].updated_at] for name in guarded if name in stored]
    variables: dict[str, Any] = {"ids": list(ids.values()), "seen": seen}
    variables["guarded"] = [ids[content_id] for content_id in guarded]
    for number, (content_id, row) in enumerate(rows.items()):
        variables[f"id{number}"] = ids[content_id]
        variables[f"fields{number}"] = row
    statement = schema.write_contents(verb, len(rows), *writing.with_contents(rows))
    try:
        *answers, written = lists(connection.ask(statement, **variables))
    except RecordsFailed as failure:
        if schema.CONTENT_CHANGED in str(failure):
            raise _Changed from None
        raise
    contents = {content.id: content for content in map(content_from_row, written)}
    for content_id in rows:
        if content_id not in contents:
            raise ContentNotFound(content_id)
    writing.after_contents(list(contents.values()), answers)
    return [contents[content_id] for content_id in rows]


def _writable(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields as the database takes them; a time of publication among the metadata counts."""
    fields = dict(fields)
    if "metadata" in fields:
        check_numbers(fields["metadata"], "metadata")
        if "published_at" not in fields and (moment := published(fields["metadata"])) is not None:
            fields["published_at"] = moment
        fields["metadata"] = nulls(fields["metadata"])
    return fields
