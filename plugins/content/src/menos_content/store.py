"""Storing a text: archived first, then recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from menos_bus import Permanent
from menos_vault import Content, ObjectNotFound, Vault, content_id

if TYPE_CHECKING:
    from menos_vault.records import ContentFields

STORED = "stored"
"""The status of a content whose text is there and whose passages are not, or are older."""


def default_key(title: str, text: str) -> str:
    """The resource key of a text that was given none: the same title and text, the same key."""
    digest = hashlib.sha256("\0".join((title, text)).encode()).hexdigest()
    return f"text:{digest}"


def store(
    vault: Vault,
    text: str,
    title: str,
    resource_key: str,
    content_type: str,
    fields: ContentFields,
    contents: Mapping[str, Content] | None = None,
) -> Content:
    """Archive the text, then write the record; repeatable at any point.

    Args:
        vault: where to.
        text: the text, not blank.
        title: its title.
        resource_key: what it is; the same key is the same content.
        content_type: what kind it is.
        fields: further fields of the content; what is absent stays as it is stored.
        contents: several contents as they are stored, by id, if they were read before.

    Raises:
        Permanent: the key is that of a content that another plugin stored
            (``resource_key_taken``).
        VaultError: the vault could not store it.
    """
    identity = content_id(resource_key)
    key = f"content/{identity}/text.txt"
    data = text.encode()
    if contents is None:
        contents = vault.records.get_contents([identity])
    earlier = contents.get(identity)
    if earlier is not None and earlier.objects.get("text", key) != key:
        raise Permanent(
            f"resource_key {resource_key!r} is a {earlier.content_type!r} content that another "
            "plugin stored: use another key",
            code="resource_key_taken",
        )
    fields = {**fields, "objects": {"text": key}}
    if earlier is None:
        fields = {**fields, "status": STORED}
    elif not holds(vault, key, data):
        # Before the text changes: a process that dies in between leaves a content that says it
        # has to be processed, never one that calls the new text processed.
        changes: ContentFields = {"status": STORED, "summary": None, "error": None}
        if earlier.metadata.get("digest") is not None:
            changes["metadata"] = {"digest": None}
        vault.records.update_content(identity, **changes)
    vault.objects.put(key, data)
    return vault.records.put_content(resource_key, content_type=content_type, title=title, **fields)


def holds(vault: Vault, key: str, data: bytes) -> bool:
    """Whether the object is there with these bytes."""
    try:
        return vault.objects.get(key) == data
    except ObjectNotFound:
        return False
