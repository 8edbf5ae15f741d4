"""The tasks that look after the vault. Nothing heavy is imported before one runs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from menos_content import fields
from menos_content.listing import Listing, Shown, listed, shown
from menos_content.operations import operations_named
from menos_content.reindex import Reindexed, reindex
from menos_content.transfer import ContentLine, Exported, Imported, export_page, import_lines
from menos_vault import ContentNotFound, Filters, Vault, open_vault

Limit = Annotated[int, Field(ge=1, le=1000, description="Contents to return at most.")]
Offset = Annotated[
    int, Field(ge=0, le=1_000_000_000, description="Contents to leave out before them.")
]

LinkSeconds = Annotated[
    int,
    Field(
        ge=0,
        le=604_800,
        description="How long links to its objects work, for anybody; 0 for no links.",
    ),
]


class Deleted(TypedDict):
    """What was deleted."""

    status: str
    content_id: str
    title: str


class DeletedOfMany(TypedDict):
    """What was deleted of several, and the ids that no content has."""

    status: str
    deleted: list[Deleted]
    missing: list[str]


def list_content(
    limit: Limit = 100,
    offset: Offset = 0,
    content_type: fields.Word = None,
    tag: fields.Word = None,
    author: fields.Word = None,
    content_id: fields.OnlyIds = None,
) -> Listing:
    """List what is in the vault, the newest first.

    ``total`` counts those that pass the filters, on this page or not.

    Raises:
        VaultError: the vault could not do it; its code says why.
    """
    filters = Filters(
        content_ids=[content_id] if isinstance(content_id, str) else content_id or [],
        content_types=[content_type] if content_type else [],
        tags=[tag] if tag else [],
        authors=[author] if author else [],
    )
    records = open_vault().records
    found = records.list_contents(limit=limit, offset=offset, filters=filters)
    return {
        "contents": [listed(content) for content in found],
        "total": records.count_contents(filters),
    }


def show_content(
    content_id: fields.ContentId,
    text: Annotated[bool, Field(description="Whether to read its text as well.")] = False,
    link_seconds: LinkSeconds = 3600,
) -> Shown:
    """Show all that is known of a content, with links to its objects if they are at an S3 server.

    Raises:
        ContentNotFound: there is no content with this id (``content_not_found``).
        VaultError: the vault could not do it; its code says why.
    """
    return shown(open_vault(), content_id, text=text, link_seconds=link_seconds)


def delete_content(content_id: fields.ContentIds) -> Deleted | DeletedOfMany:
    """Delete a content: its record, its passages and its stored objects. It cannot be undone.

    Of a list of ids all are deleted that there are; the result names those under ``missing`` that
    there are not (any more).

    Raises:
        ContentNotFound: there is no content with this id, which is no list
            (``content_not_found``).
        VaultError: the vault could not do it; its code says why. Try again then.
    """
    vault = open_vault()
    if isinstance(content_id, str):
        return _deleted(vault, content_id)
    deleted, missing = [], []
    for identity in content_id:
        try:
            deleted.append(_deleted(vault, identity))
        except ContentNotFound:
            missing.append(identity)
    return {"status": "success", "deleted": deleted, "missing": missing}


def _deleted(vault: Vault, identity: str) -> Deleted:
    content = vault.delete(identity)
    return {"status": "success", "content_id": content.id, "title": content.title}


def vault_stats() -> dict[str, Any]:
    """Count what is in the vault: contents by type and status, passages, and their model.

    Raises:
        VaultError: the vault could not do it; its code says why.
    """
    return open_vault().records.statistics().model_dump()


def export_content(
    limit: Annotated[int, Field(ge=1, le=100, description="Contents of a page at most.")] = 100,
    offset: Offset = 0,
) -> Exported:
    """Return contents with their texts and other objects, page by page, for ``import_content``.

    A page ends early when it has some megabytes. Contents that are stored while you turn pages
    push others on, so one may come twice; importing it twice does no harm. ``lost`` names what
    cannot be exported, since the object is not there any more.

    Raises:
        VaultError: the vault could not do it; its code says why.
    """
    return export_page(open_vault(), limit=limit, offset=offset)


def import_content(
    lines: Annotated[
        list[ContentLine],
        Field(
            min_length=1,
            max_length=100,
            description="What `export_content` returned, or objects with `resource_key`, `title` "
            "and `text`.",
        ),
    ],
    process: fields.Process = [],  # noqa: B006 - each call gets a checked copy
) -> Imported:
    """Store many contents; with ``process`` run operations on each, such as ``embed``.

    They are new texts, or what another vault exported. The same ``resource_key`` is the same
    content, and of lines with one key the last one counts. Without ``embed`` they are searchable
    after ``process_content``, or ``reindex_content`` with ``missing``.

    Returns:
        The ids in the order of the lines. ``failed`` has code and message of each line that could
        not be stored (such as ``resource_key_taken``, ``invalid_key``), and of each operation that
        failed for good.

    Raises:
        Deferred: there is more to do; callers see ``PROGRESS``.
        TaskError, VaultError: the vault could not do it, or another try at an operation may help;
            its code says why.
    """
    return import_lines(open_vault(), lines, operations_named(process))


def reindex_content(
    missing: Annotated[
        bool, Field(description="Whether to embed also what was never embedded.")
    ] = False,
) -> Reindexed:
    """Embed again what is of another embedding model, or was cut in another way.

    To be called after a change of the model or of ``MENOS_CONTENT_CHUNK_…``. It goes on where it
    was after whatever stopped it, and searches go on meanwhile.

    Raises:
        Deferred: there is more to do; callers see ``PROGRESS``.
        VaultError: the model or the vault could not do it; its code says why.
    """
    return reindex(open_vault(), missing=missing)
