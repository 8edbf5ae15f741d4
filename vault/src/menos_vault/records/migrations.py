"""From the tables of an earlier release to those of this one.

A step is done in one transaction with the note that it is done, or not at all: a process that dies
in between leaves a vault that the next one goes on with. A step that fails stops the opening; the
vault stays as the step found it. Of several processes that open an old vault one does the step.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from menos_vault.errors import RecordsFailed
from menos_vault.records import schema
from menos_vault.records.answers import Ask, Replaced
from menos_vault.records.fields import published

Step = Callable[[Ask], Awaitable[tuple[str, dict[str, Any]]]]
"""Reads what it needs, and returns the statements to run with their variables."""

_ROWS = 500


async def migrate(ask: Ask) -> None:
    """Bring the tables to the newest version, step by step.

    Raises RecordsFailed: a step was refused, some tables were removed, or the vault is of a newer
    release than this one.
    """
    there = await _tables(ask)
    if "vault" not in there:
        _check_tables(there, 0)
        await ask("DEFINE TABLE IF NOT EXISTS vault SCHEMALESS", {})
    while (version := await _version(ask)) < len(STEPS):
        _check_tables(await _tables(ask), version)
        try:
            statements, variables = await STEPS[version](ask)
            step = schema.transaction(statements, schema.SET_SCHEMA_VERSION, version=version)
            await ask(step, {**variables, "version": version + 1})
        except Replaced:
            continue  # another process was faster
        except RecordsFailed as failure:
            raise RecordsFailed(
                f"the vault's tables could not be brought from version {version} to {version + 1}; "
                f"they are as they were: {failure}"
            ) from failure
    if version > len(STEPS):
        raise RecordsFailed(
            f"this vault's tables have version {version}, of a newer menos-vault; this one knows "
            f"{len(STEPS)}: install the newer one again"
        )
    _check_tables(await _tables(ask), version)


async def _tables(ask: Ask) -> dict[str, str]:
    """Return the definitions of the database's tables."""
    [database] = await ask("INFO FOR DB", {})
    return dict(database["tables"])


def _check_tables(there: dict[str, str], version: int) -> None:
    """Refuse a vault that lost some of a version's tables: to make them anew would hide it.

    Engine 2 makes a table that is not there at the next write, but one without a schema.
    """
    if not version and not there.keys() & schema.tables_of(len(STEPS)).keys() - {"vault"}:
        return  # a new vault
    wanted = schema.tables_of(max(version, 1)).items()
    if lost := [name for name, kind in wanted if kind not in there.get(name, "")]:
        raise RecordsFailed(
            f"the vault's database has lost {', '.join(lost)}: somebody removed these tables with "
            "all that was in them; restore the database from a backup, or remove the whole "
            "database to begin anew with an empty vault"
        )


async def _version(ask: Ask) -> int:
    [found] = await ask(schema.SCHEMA_VERSION, {})
    return int(found[0]) if found else 0


async def _first(ask: Ask) -> tuple[str, dict[str, Any]]:
    """Make the tables of release 0.1."""
    return schema.VERSION_1, {}


async def _chunk_sets(ask: Ask) -> tuple[str, dict[str, Any]]:
    """Note what is known of chunks that are there, and when contents came out."""
    from surrealdb import RecordID

    [embedding] = await ask(schema.EMBEDDING, {})
    model = embedding[0]["model"] if embedding else None
    [counted] = await ask("SELECT content, count() AS count FROM chunk GROUP BY content", {})
    chunk_sets = [
        {
            "id": RecordID("chunk_set", row["content"].id),
            "version": uuid.uuid4().hex,
            "count": row["count"],
            "model": model,
            "chunker": "",
            "fingerprint": "",
        }
        for row in counted
        if row["content"] is not None
    ]
    [contents] = await ask("SELECT id, metadata FROM content", {})
    dated = [
        {"id": row["id"], "at": moment}
        for row in contents
        if (moment := published(row["metadata"])) is not None
    ]
    statements, variables = schema.VERSION_2, {}
    for name, rows in _batches("chunk_sets", chunk_sets):
        statements += f"INSERT INTO chunk_set ${name} RETURN NONE;"
        variables[name] = rows
    for name, rows in _batches("dated", dated):
        statements += schema.set_published(name)
        variables[name] = rows
    return statements, variables


async def _bytes(ask: Ask) -> tuple[str, dict[str, Any]]:
    """Let vectors be bytes."""
    return schema.VERSION_3, {}


async def _callers(ask: Ask) -> tuple[str, dict[str, Any]]:
    """Let contents know which calls stored them."""
    return schema.VERSION_4, {}


async def _deletions(ask: Ask) -> tuple[str, dict[str, Any]]:
    """Let it be known of deleted contents which calls had stored them."""
    return schema.VERSION_5, {}


def _batches(name: str, rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for number, start in enumerate(range(0, len(rows), _ROWS)):
        yield f"{name}{number}", rows[start : start + _ROWS]


STEPS: list[Step] = [_first, _chunk_sets, _bytes, _callers, _deletions]
"""Step n leads to version n. Never change one that was released: append another."""
