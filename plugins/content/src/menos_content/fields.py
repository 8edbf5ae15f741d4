"""The types of the tasks' parameters: what a door checks before anything is queued."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from menos_bus import Wanted
from menos_content.operations import BUILT_IN, POINT
from menos_vault.records.fields import given_moment, not_blank, unstorable_number

LONGEST_TEXT: Final = 5_000_000
"""Characters of a text: some 800,000 words, ten long novels."""

LONGEST_METADATA: Final = 100_000
"""Characters of a content's metadata, written as JSON."""

DEEPEST_METADATA: Final = 50
"""Lists and objects of a content's metadata in each other: the database takes some more."""


def _without_mark(text: str) -> str:
    """Leave out the byte order mark, with which some programs begin a text: it is none of it.

    A heading behind it would be no heading.
    """
    return text.removeprefix("\ufeff")


def check_published(metadata: dict[str, JsonValue]) -> None:
    """Refuse a ``published_at`` in metadata that says nothing: no search would go by it."""
    try:
        given_moment(metadata.get("published_at"))
    except PydanticCustomError as error:
        raise PydanticCustomError(
            "no_date", "published_at: {why}", {"why": error.message()}
        ) from None


def check_values(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse at the door what the database could not hold."""
    _check_depth(metadata)
    if reason := unstorable_number(metadata):
        raise PydanticCustomError("unstorable", "{reason}", {"reason": reason})
    return metadata


def _storable(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse at the door what the database could not hold, or what searches could not read."""
    check_published(check_values(metadata))
    if len(json.dumps(metadata, ensure_ascii=False)) > LONGEST_METADATA:
        raise PydanticCustomError(
            "too_long", f"it has more than {LONGEST_METADATA} characters, written as JSON"
        )
    return metadata


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > DEEPEST_METADATA:
        raise PydanticCustomError(
            "too_deep", f"it has lists or objects in more than {DEEPEST_METADATA} others"
        )
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, depth + 1)


def distinct(items: list[Any]) -> list[Any]:
    """Each item once, in the order of the first ones."""
    return list(dict.fromkeys(items))


Line = StringConstraints(min_length=1, max_length=500, strip_whitespace=True)

Text = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_TEXT,
        description="The whole text; stored as it is.",
        examples=["Machine learning finds patterns in data."],
    ),
    AfterValidator(not_blank),
    AfterValidator(_without_mark),
]
Title = Annotated[
    str,
    Line,
    AfterValidator(not_blank),
    Field(description="What it is called.", examples=["A first note"]),
]
ContentType = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_.+/-]{0,63}$"),
    Wanted("up to 64 small letters, digits and _ . + / -, such as `markdown` or `text`"),
    Field(
        description="`markdown` is split at its headings; everything else counts as plain text.",
    ),
]
ContentId = Annotated[
    str,
    Field(min_length=1, max_length=64, description="The `content_id` that storing it returned."),
]
_ContentIds = Annotated[
    list[ContentId], Field(min_length=1, max_length=100), AfterValidator(distinct)
]
ContentIds = Annotated[
    ContentId | _ContentIds,
    Field(description="The `content_id` that storing it returned, or up to 100 of them."),
]

# What may be left out. The description stands outside of the `| None`, where help texts look.
ResourceKey = Annotated[
    Annotated[str, Line] | None,
    Field(
        description="What it is in the world, such as `doc:handbook/intro`: the same key is the "
        "same content. By default it follows from title and text."
    ),
]
OnlyIds = Annotated[
    ContentId | _ContentIds | None,
    Field(description="Only the content with this id, or those with these, up to 100."),
]
Author = Annotated[Annotated[str, Line] | None, Field(description="Who wrote it.")]
Url = Annotated[
    Annotated[
        str,
        Field(max_length=2048, pattern=r"^https?://[^\s]+$"),
        Wanted(
            "a URL of up to 2048 characters without spaces that begins with http:// or https://, "
            "such as `https://example.com/page`"
        ),
    ]
    | None,
    Field(description="Where it can be read, http or https."),
]
Language = Annotated[
    Annotated[
        str,
        Field(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"),
        Wanted("a language as a BCP 47 tag, such as `en` or `pt-BR`"),
    ]
    | None,
    Field(description="BCP 47 tag, such as `en` or `pt-BR`."),
]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
Tags = Annotated[
    Annotated[list[Tag], Field(max_length=100), AfterValidator(distinct)] | None,
    Field(description="Words to file it under."),
]
MetadataKey = Annotated[str, Field(min_length=1, max_length=100)]
Metadata = Annotated[
    Annotated[dict[MetadataKey, JsonValue], Field(max_length=200), AfterValidator(_storable)]
    | None,
    Field(
        description="Anything else that is known of it; kept as it is. `published_at` among it is "
        "when it came out: a day or a time (ISO 8601), UTC if it names no zone."
    ),
]
PublishedAt = Annotated[
    datetime | None,
    BeforeValidator(given_moment),
    Field(description="When it came out: a day or a time (ISO 8601), UTC if it names no zone."),
]
CreatedAt = Annotated[
    datetime | None,
    BeforeValidator(given_moment),
    Field(description="When it was first stored, for a vault that does not have it yet."),
]


def _known(name: str, info: ValidationInfo) -> str:
    """Refuse an operation that neither this plugin nor another one of the bus has."""
    found = info.context["extensions"](POINT) if info.context else {}
    known = [*BUILT_IN, *found]
    if name not in known:
        raise PydanticCustomError(
            "unknown_operation",
            "it must be one of {known}",
            {"known": ", ".join(repr(word) for word in known)},
        )
    return name


OperationName = Annotated[
    str, Field(min_length=1, max_length=100, examples=list(BUILT_IN)), AfterValidator(_known)
]
Process = Annotated[
    list[OperationName],
    Field(
        max_length=20,
        description="Operations of `tasks.process_content` to run on it as well, such as `embed`.",
    ),
    AfterValidator(distinct),
]
Operations = Annotated[
    list[OperationName],
    Field(
        min_length=1,
        max_length=20,
        description="What to do, in this order: `embed`, `summarize`, or what plugins add.",
    ),
    AfterValidator(distinct),
]
Word = Annotated[
    Annotated[str, Line] | None, Field(description="Only contents that have this one.")
]
