"""The tags that people gave a content, and those that a model's digest added to them.

A content's ``tags`` are both, so that searches find it by either. Which of them a digest added
stands in ``metadata["digest"]["added"]``, so that the next digest replaces these and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from menos_vault import Content

if TYPE_CHECKING:
    from menos_vault.records import ContentChanges

_MOST_TAGS: Final = 100
_LONGEST_TAG: Final = 100


def digest_of(content: Content) -> dict[str, Any] | None:
    """What a model said of a content, if one did."""
    digest = content.metadata.get("digest")
    if isinstance(digest, dict) and isinstance(digest.get("added"), list):
        return digest
    return None


def own_tags(content: Content) -> list[str]:
    """The tags that people gave a content: all but those that a digest added."""
    digest = digest_of(content)
    added = [] if digest is None else digest["added"]
    return [tag for tag in content.tags if tag not in added]


def with_digest(own: list[str], digest: dict[str, Any]) -> ContentChanges:
    """What is stored of a digest.

    Args:
        own: the tags that people gave; all of them stay.
        digest: what a model said; of its ``tags`` those are added that are none of the content's
            own in other letters, up to 100 tags in all.

    Returns:
        The fields ``tags`` and ``metadata``.
    """
    known = {tag.casefold() for tag in own}
    new = [tag for tag in digest["tags"] if tag.casefold() not in known]
    added = [tag for tag in new if len(tag) <= _LONGEST_TAG][: max(0, _MOST_TAGS - len(own))]
    return {"tags": [*own, *added], "metadata": {"digest": {**digest, "added": added}}}
