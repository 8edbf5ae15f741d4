"""The tags that people gave a content, and those that a model added to them.

A content's `tags` are both, so that searches find it by either. What a model said of a content is
`metadata["digest"]`, with its `tags`; which of these it added stands in `added` there, so that its
next digest replaces these and no others. Whoever writes `tags` means those of people.
"""

from typing import Any

from menos_vault.models import Content

_MOST_TAGS = 100
_LONGEST_TAG = 100  # characters


def concerns_tags(fields: dict[str, Any]) -> bool:
    """Say whether a write of these fields may change a content's tags."""
    return "tags" in fields or "digest" in fields.get("metadata", {})


def with_all_tags(fields: dict[str, Any], stored: Content | None) -> dict[str, Any]:
    """Return the fields of a write with the tags of people and of a model together.

    Those of people are the ones that are given, else those that they gave before; all of them stay.
    Of the digest's, which is the one that is given or else the one before, those are added that are
    none of theirs in other letters, up to 100 tags in all.
    """
    metadata = fields.get("metadata", {})
    earlier = stored.metadata.get("digest") if stored is not None else None
    digest = metadata.get("digest", earlier)
    if "tags" in fields:
        # An exported content has all its tags, and its digest.
        own = _without(fields["tags"], _texts(metadata.get("digest"), "added"))
    else:
        own = _without(stored.tags if stored is not None else [], _texts(earlier, "added"))
    if not isinstance(digest, dict):
        return {**fields, "tags": own}
    known = {tag.casefold() for tag in own}
    new = [tag for tag in _texts(digest, "tags") if tag.casefold() not in known]
    added = [tag for tag in new if len(tag) <= _LONGEST_TAG][: max(0, _MOST_TAGS - len(own))]
    digest = {**digest, "added": added}
    return {**fields, "tags": [*own, *added], "metadata": {**metadata, "digest": digest}}


def _without(tags: list[str], others: list[str]) -> list[str]:
    return [tag for tag in tags if tag not in others]


def _texts(digest: Any, name: str) -> list[str]:
    """Return a list in a digest; there are none in what somebody else calls a digest."""
    found = digest.get(name) if isinstance(digest, dict) else None
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
