"""The database's tables and statements, without those of searches (see `server.statements`).

`vault` holds the vault's own facts: `vault:embedding` the model and dimension of all vectors,
`vault:schema` the version of these tables (see `migrations`), `vault:words` of a vault at a server
what its words have (see `server.statements`). `chunk_set` has one row per content whose chunks were
written, under the content's id. Embeddings are `option<…>`, because during a reindex texts stand
there without a vector. `deletion` has, under a deleted content's id, the calls that had stored it.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

# ruff: noqa: S608 - what is put into statements are numbers, constants and checked hexadecimal ids;
# everything that comes from outside is passed as a variable.

# SCHEMAFULL refuses what is not declared, so an unforeseen field is an error and no silent loss.
# FLEXIBLE stands behind TYPE, as engine 3 wants it.
# Version 1, as release 0.1 made it at every start without noting a version.
VERSION_1 = """
DEFINE TABLE IF NOT EXISTS vault SCHEMALESS;

DEFINE TABLE IF NOT EXISTS content SCHEMAFULL;
DEFINE FIELD IF NOT EXISTS resource_key ON content TYPE string;
DEFINE FIELD IF NOT EXISTS content_type ON content TYPE string;
DEFINE FIELD IF NOT EXISTS title ON content TYPE string;
DEFINE FIELD IF NOT EXISTS author ON content TYPE option<string>;
DEFINE FIELD IF NOT EXISTS url ON content TYPE option<string>;
DEFINE FIELD IF NOT EXISTS language ON content TYPE option<string>;
DEFINE FIELD IF NOT EXISTS tags ON content TYPE array<string> DEFAULT [];
DEFINE FIELD IF NOT EXISTS metadata ON content TYPE object FLEXIBLE DEFAULT {};
DEFINE FIELD IF NOT EXISTS summary ON content TYPE option<string>;
DEFINE FIELD IF NOT EXISTS objects ON content TYPE object FLEXIBLE DEFAULT {};
DEFINE FIELD IF NOT EXISTS status ON content TYPE option<string>;
DEFINE FIELD IF NOT EXISTS error ON content TYPE option<string>;
DEFINE FIELD IF NOT EXISTS created_at ON content TYPE datetime DEFAULT time::now() READONLY;
DEFINE FIELD IF NOT EXISTS updated_at ON content TYPE datetime VALUE time::now();
DEFINE INDEX IF NOT EXISTS content_resource_key ON content FIELDS resource_key UNIQUE;

DEFINE TABLE IF NOT EXISTS chunk SCHEMAFULL;
DEFINE FIELD IF NOT EXISTS content ON chunk TYPE record<content>;
DEFINE FIELD IF NOT EXISTS index ON chunk TYPE int;
DEFINE FIELD IF NOT EXISTS text ON chunk TYPE string;
DEFINE FIELD IF NOT EXISTS start ON chunk TYPE option<float>;
DEFINE FIELD IF NOT EXISTS heading ON chunk TYPE option<string>;
DEFINE FIELD IF NOT EXISTS model ON chunk TYPE option<string>;
DEFINE FIELD IF NOT EXISTS embedding ON chunk TYPE option<array<float>>;
"""

VERSION_2 = """
DEFINE FIELD IF NOT EXISTS published_at ON content TYPE option<datetime>;
DEFINE FIELD IF NOT EXISTS summary_of ON content TYPE option<string>;
DEFINE TABLE IF NOT EXISTS chunk_set SCHEMAFULL;
DEFINE FIELD IF NOT EXISTS version ON chunk_set TYPE string;
DEFINE FIELD IF NOT EXISTS count ON chunk_set TYPE int;
DEFINE FIELD IF NOT EXISTS model ON chunk_set TYPE option<string>;
DEFINE FIELD IF NOT EXISTS chunker ON chunk_set TYPE string;
DEFINE FIELD IF NOT EXISTS fingerprint ON chunk_set TYPE string;
"""

# Numbers at a server, which compares them; in an embedded vault, which only keeps them, bytes.
VERSION_3 = """
DEFINE FIELD OVERWRITE embedding ON chunk TYPE option<bytes | array<float>>;
"""

VERSION_4 = """
DEFINE FIELD IF NOT EXISTS stored_by ON content TYPE option<array<string>>;
"""

VERSION_5 = """
DEFINE TABLE IF NOT EXISTS deletion SCHEMAFULL;
DEFINE FIELD IF NOT EXISTS stored_by ON deletion TYPE array<string>;
DEFINE FIELD IF NOT EXISTS deleted_at ON deletion TYPE datetime VALUE time::now();
DEFINE INDEX IF NOT EXISTS deletion_age ON deletion FIELDS deleted_at;
"""

VERSIONS = (VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5)
VERSION = len(VERSIONS)
_TABLE = re.compile(r"DEFINE TABLE IF NOT EXISTS (\w+) (\w+);")


def tables_of(version: int) -> dict[str, str]:
    """Return the tables of a version, and whether they are SCHEMAFULL or SCHEMALESS."""
    return dict(_TABLE.findall("".join(VERSIONS[:version])))


SCHEMA_VERSION = "SELECT VALUE version FROM vault:schema"
SET_SCHEMA_VERSION = "UPSERT vault:schema SET version = $version RETURN NONE"

# Said by a transaction that finds other tables, no content or another model, and looked for in its
# error.
OTHER_TABLES = "menos: other tables"
NO_CONTENT = "menos: no such content"
OTHER_MODEL = "menos: other embedding model"
CONTENT_CHANGED = "menos: content changed"


def transaction(*statements: str, version: int = VERSION) -> str:
    """Return the transaction of these statements.

    It does nothing if the tables are not of this version: somebody may have emptied the database,
    put another one in its place, or opened it with a newer release. Nor does it if one of them is
    not there: a write would make it. To engine 2 that is empty, to engine 3 an error.
    """
    guard = f"({SCHEMA_VERSION}) != {[version] if version else []}"
    guards = [f"IF {guard} {{ THROW '{OTHER_TABLES}' }}"]
    if names := ", ".join(f"{name}:none" for name in tables_of(version)):
        guards.append(f"LET $there = (SELECT VALUE id FROM {names})")
    return f"BEGIN; {'; '.join([*guards, *filter(None, statements)])}; COMMIT"


# Without a value for `updated_at` this is a table that engine 2 has just made.
_IN_OUR_TABLE = (
    "IF array::len((SELECT VALUE id FROM $ids WHERE updated_at = NONE)) != 0 "
    f"{{ THROW '{OTHER_TABLES}' }}"
)


def write_contents(verb: Literal["UPSERT", "UPDATE"], count: int, *also: str) -> str:
    """Return the transaction that merges `$fields0 …` into the contents `$id0 …`.

    UPDATE, unlike UPSERT, makes no row. The statements `also` are run in it after that. The last
    one answers with the rows of `$ids`. With `$guarded`, ids, nothing is done if the ids and times
    of those that there are of them are not `$seen`: somebody wrote one, or made one, meanwhile.
    """
    unchanged = (
        "IF array::len($guarded) != 0 AND "
        "(SELECT VALUE [id, time::floor(updated_at, 1us)] FROM $guarded) != $seen "
        f"{{ THROW '{CONTENT_CHANGED}' }}"
    )
    writes = [f"{verb} $id{n} MERGE $fields{n} RETURN NONE" for n in range(count)]
    return transaction(unchanged, *writes, _IN_OUR_TABLE, *also, "SELECT * FROM $ids")


# The database counts nanoseconds, Python microseconds.
SET_STATUS = transaction(
    "UPDATE $ids MERGE $fields WHERE [id, time::floor(updated_at, 1us)] IN $seen RETURN AFTER"
)

EMBEDDING = "SELECT model, dimension FROM vault:embedding"
SAME_MODEL = (
    "IF array::len((SELECT VALUE id FROM vault:embedding WHERE model = $model "
    f"AND dimension = $dimension)) = 0 {{ THROW '{OTHER_MODEL}' }}"
)


def model_of(answer: list[Any]) -> tuple[str, int] | None:
    """Return the model that the answer to EMBEDDING names."""
    [rows] = answer
    return (rows[0]["model"], rows[0]["dimension"]) if rows else None


# The first writer decides; whoever comes second meets the row and changes nothing.
CLAIM_MODEL = transaction(
    "INSERT INTO vault { id: 'embedding', model: $model, dimension: $dimension } "
    "ON DUPLICATE KEY UPDATE model = model RETURN NONE"
)

# Without the new index, which looks at the rows as they were before the transaction.
CHANGE_MODEL = transaction(
    "REMOVE INDEX IF EXISTS chunk_embedding ON chunk",
    "UPDATE chunk SET embedding = NONE, model = NONE RETURN NONE",
    "UPDATE chunk_set SET model = NONE RETURN NONE",
    "UPSERT vault:embedding SET model = $model, dimension = $dimension RETURN NONE",
)

STATISTICS = (
    "SELECT content_type AS name, count() AS count FROM content GROUP BY content_type; "
    "SELECT status AS name, count() AS count FROM content GROUP BY status"
)
COUNTS = "SELECT count() FROM content GROUP ALL; SELECT count() FROM chunk GROUP ALL"


def _taken_over(*names: str) -> str:
    return ", ".join(f"{name} = $input.{name}" for name in names)


_UPDATE_CHUNK = _taken_over("content", "index", "text", "start", "heading", "model", "embedding")
_UPDATE_CHUNK_SET = _taken_over("version", "count", "model", "chunker", "fingerprint")


def list_contents(conditions: list[str]) -> str:
    """Return the question for a page of contents, the newest first."""
    return (
        f"SELECT * FROM content {where(conditions)}"
        "ORDER BY created_at DESC, id LIMIT $limit START $offset"
    )


def where(conditions: list[str]) -> str:
    """Return the clause for conditions that all have to hold; empty if there are none."""
    return f"WHERE {' AND '.join(conditions)} " if conditions else ""


def chunk_range(content_hash: str, first: int = 0, table: str = "chunk") -> str:
    """Return the record range of a content's chunks from index `first` on.

    `content_hash` must be checked hexadecimal: it becomes part of a statement. Ids have one length,
    so that their order as text is their order as numbers; ids that are arrays would be prettier,
    but the vector index finds nothing then (engine 3.1 to 3.2).
    """
    return f"{table}:`{content_hash}_{first:06d}`..=`{content_hash}_999999`"


def read_chunks(content_hash: str) -> str:
    """Return the question whether `$id` exists, and that for its chunks in order."""
    return (
        "SELECT VALUE id FROM $id; "
        f"SELECT index, text, start, heading FROM {chunk_range(content_hash)}"
    )


def replace_chunks(counts: Mapping[str, int], batches: int, *also: str) -> str:
    """Return the transaction that writes so many chunks of contents and deletes later ones.

    Chunks are in `$rows0 …`, what is noted of each content's in `$notes`. The statements `also` are
    run in it when the chunks are written.
    """
    guards = [
        f"IF array::len((SELECT VALUE id FROM $ids)) != {len(counts)} {{ THROW '{NO_CONTENT}' }}"
    ]
    if batches:
        guards.append(SAME_MODEL)
    inserts = [
        f"INSERT INTO chunk $rows{number} ON DUPLICATE KEY UPDATE {_UPDATE_CHUNK} RETURN NONE"
        for number in range(batches)
    ]
    later = ", ".join(chunk_range(content_hash, count) for content_hash, count in counts.items())
    delete = f"DELETE {later} RETURN NONE"
    note = f"INSERT INTO chunk_set $notes ON DUPLICATE KEY UPDATE {_UPDATE_CHUNK_SET} RETURN NONE"
    return transaction(*guards, *inserts, delete, *also, note)


FINISH_CHUNKS = transaction(
    "UPDATE $chunk_set SET fingerprint = $fingerprint WHERE version = $version RETURN NONE"
)


def delete_content(content_hash: str, *also: str) -> str:
    """Return the transaction that deletes `$id`, its chunks and what is noted of them.

    The calls that had stored it are noted in `$deletion`, the latest `$calls`, for a day. The
    statements `also` are run in it.
    """
    deletion = transaction(
        *also,
        "LET $stored_by = array::flatten((SELECT VALUE stored_by ?? [] FROM $id))",
        "IF array::len($stored_by) != 0 { UPSERT $deletion SET stored_by = array::slice("
        "array::distinct(array::concat(stored_by ?? [], $stored_by)), -$calls) RETURN NONE }",
        f"DELETE {chunk_range(content_hash)} RETURN NONE",
        "DELETE $chunk_set RETURN NONE",
        "DELETE $id RETURN NONE",
    )
    # By itself: inside of a transaction, the index of engine 2 is not in step with what it wrote.
    return f"{deletion}; DELETE deletion WHERE deleted_at < time::now() - 1d RETURN NONE"


def read_again(content_hash: str) -> str:
    """Return the questions for all that an index has of `$id`."""
    return (
        "SELECT * FROM $id; SELECT VALUE version FROM $chunk_set; "
        f"SELECT index, text, start, heading, embedding FROM {chunk_range(content_hash)}"
    )


def set_published(rows: str) -> str:
    """Return the statement that dates the contents in a variable."""
    return f"FOR $row IN ${rows} {{ UPDATE $row.id SET published_at = $row.at RETURN NONE }};"


CONTENT_VERSIONS = "SELECT id, updated_at FROM content; SELECT id, version FROM chunk_set"
# For an embedded vault, whose index is its own.
NO_VECTOR_INDEX = "REMOVE INDEX IF EXISTS chunk_embedding ON chunk"

OF_HIT = "content, index, text, start, heading"
READ_HITS = f"SELECT {OF_HIT} FROM $chunks; SELECT * FROM $contents"
