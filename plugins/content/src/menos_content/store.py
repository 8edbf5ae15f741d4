"""Storing a text: archived first, then recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from menos_bus import Permanent, task_id
from menos_vault import Content, ContentNotFound, ObjectNotFound, Vault, content_id
from menos_vault.records.calls import call_of, digest_of, stored_before
from menos_vault.records.fields import before_new_text

if TYPE_CHECKING:
    from menos_vault.records import NewContent

STORED = "stored"
"""The status of a content whose text is there and whose passages are not, or are older."""


def default_key(title: str, text: str) -> str:
    """The resource key of a text that was given none: the same title and text, the same key."""
    digest = hashlib.sha256("\0".join((title, text)).encode()).hexdigest()
    return f"text:{digest}"


def store(vault: Vault, text: str, new: NewContent) -> Content:
    """Archive the text, then write the record; repeatable at any point.

    A call that has done so before stores nothing: it finds what stands there now, which may be
    newer, or that it was deleted.

    Args:
        vault: where to.
        text: the text, not blank.
        new: the content; what is absent stays as it is stored.

    Raises:
        Permanent: the key is that of a content that another plugin stored
            (``resource_key_taken``), or the content was deleted since this call had stored it
            (``content_not_found``).
        VaultError: the vault could not store it.
    """
    identity = content_id(new["resource_key"])
    call = call_of(task_id(), digest_of({**new, "text": text}))
    stored = vault.records.get_contents([identity])
    if stored_before(vault.records, {identity: call}, stored):
        if identity in stored:
            return stored[identity]
        raise Permanent(
            f"content {identity} ({new['title']!r}) was deleted after this call had stored it: "
            "make another call to store it again",
            code=ContentNotFound.code,
        )
    archived = archive(vault, text, {**new, "stored_by": call}, stored)
    [content] = vault.records.put_contents([archived])
    return content


def archive(vault: Vault, text: str, new: NewContent, stored: Mapping[str, Content]) -> NewContent:
    """Archive the text, and return the content as it is to be written after that.

    Args as for :func:`store`; ``stored`` are contents as they are stored, by id. Raises as it does.
    """
    identity = content_id(new["resource_key"])
    key = f"content/{identity}/text.txt"
    earlier = stored.get(identity)
    if earlier is not None and earlier.objects.get("text", key) != key:
        raise Permanent(
            f"resource_key {new['resource_key']!r} is a {earlier.content_type!r} content that "
            "another plugin stored: use another key",
            code="resource_key_taken",
        )
    return put_text(vault, key, text.encode(), {**new, "objects": {"text": key}}, earlier)


def put_text(
    vault: Vault, key: str, data: bytes, new: NewContent, earlier: Content | None
) -> NewContent:
    """Put a text where it is to be, and return the content as it is to be written after that.

    A content that has another text by then is to be processed: ``earlier``, as it is stored, says
    so from before its text changes.
    """
    if earlier is None:
        new.setdefault("status", STORED)
    elif earlier.objects.get("text") != key or not holds(vault, key, data):
        try:
            vault.records.update_content(earlier.id, **before_new_text(earlier, STORED))
        except ContentNotFound:  # deleted meanwhile
            new.setdefault("status", STORED)
    vault.objects.put(key, data)
    return new


def holds(vault: Vault, key: str, data: bytes) -> bool:
    """Whether the object is there with these bytes."""
    try:
        return vault.objects.get(key) == data
    except ObjectNotFound:
        return False
