"""What is in the vault, as results of tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from typing_extensions import TypedDict

from menos_vault import Content, ObjectNotFound, Vault


class Listed(TypedDict):
    """A content in a list: its record, without the long fields."""

    content_id: str
    resource_key: str
    content_type: str
    title: str
    author: str | None
    url: str | None
    language: str | None
    tags: list[str]
    status: str | None
    published_at: str | None
    created_at: str
    updated_at: str


class Listing(TypedDict):
    """A page of contents, the newest first, and how many the list has in all."""

    contents: list[Listed]
    total: int


class Shown(Listed):
    """All that is known of a content.

    ``links`` are URLs with which anybody may read its objects until ``links_until``; there are none
    where objects are in a folder.
    """

    metadata: dict[str, Any]
    summary: str | None
    error: str | None
    objects: dict[str, str]
    links: dict[str, str]
    links_until: str | None
    chunks: int
    model: str | None
    text: str | None


def listed(content: Content) -> Listed:
    """A content as it stands in a list."""
    plain = content.model_dump(mode="json")
    return {"content_id": content.id, **{n: plain[n] for n in Listed.__annotations__ if n in plain}}  # type: ignore[typeddict-item]


def shown(vault: Vault, content_id: str, *, text: bool, link_seconds: int) -> Shown:
    """A content with all that is known of it.

    Args:
        vault: where it is.
        content_id: its id.
        text: whether to read its text as well.
        link_seconds: how long links to its objects are to last; 0 for none.

    Raises:
        ContentNotFound: there is no content with this id.
    """
    content = vault.records.get_content(content_id)
    known = vault.records.chunk_set(content_id)
    until = datetime.now(UTC) + timedelta(seconds=link_seconds)
    links = _links(vault, content, link_seconds) if link_seconds else {}
    return {
        **listed(content),
        "metadata": content.metadata,
        "summary": content.summary,
        "error": content.error,
        "objects": content.objects,
        "links": links,
        "links_until": until.isoformat(timespec="seconds") if links else None,
        "chunks": 0 if known is None else known.count,
        "model": None if known is None else known.model,
        "text": _text(vault, content) if text else None,
    }


def _links(vault: Vault, content: Content, seconds: int) -> dict[str, str]:
    links = {role: vault.objects.link(key, seconds) for role, key in content.objects.items()}
    return {role: link for role, link in links.items() if link is not None}


def _text(vault: Vault, content: Content) -> str | None:
    try:
        return vault.objects.get(content.objects["text"]).decode("utf-8", "replace")
    except (KeyError, ObjectNotFound):
        return None
