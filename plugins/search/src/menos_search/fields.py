"""The types of the tasks' parameters: what a door checks before anything is queued."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from menos_vault.records.fields import given_moment, not_blank
from menos_vault.records.filters import wrong_end

Mode = Annotated[
    Literal["hybrid", "semantic", "keyword"],
    Field(description="By meaning and words together, by meaning alone, or by words alone."),
]
GroupBy = Annotated[
    Literal["passage", "content"],
    Field(
        description="`passage`: the best passages, whatever they are of. `content`: the best "
        "contents, each with its best passage and, in `passages`, the next ones."
    ),
]
Query = Annotated[
    str,
    StringConstraints(min_length=1, max_length=10_000, strip_whitespace=True),
    AfterValidator(not_blank),
    Field(
        description="What to look for, as a question or in a few words; words in quotation marks "
        "are one phrase.",
        examples=["machine learning"],
    ),
]
Limit = Annotated[int, Field(ge=1, le=100, description="Results to return at most.", examples=[5])]
Offset = Annotated[
    int, Field(ge=0, le=900, description="Results to leave out at the beginning: the pages before.")
]
Explain = Annotated[
    bool, Field(description="Say of each result how its place in the order came about.")
]
ContentId = Annotated[
    str,
    Field(min_length=1, max_length=64, description="The `content_id` that storing it returned."),
]


def _listed(value: Any) -> Any:
    """One word is a list of one."""
    return [value] if isinstance(value, str) else value


_Words = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]],
    Field(max_length=100),
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
]

# Filters: what may be left out. The description stands outside of the `| None`.
ContentTypes = Annotated[
    _Words | None, Field(description="Only contents of this type, or one of these: `youtube` …")
]
Tags = Annotated[_Words | None, Field(description="Only contents with all of these tags.")]
Authors = Annotated[_Words | None, Field(description="Only contents by this author, or these.")]
Languages = Annotated[
    _Words | None,
    Field(description="Only contents in this language, or these; `pt` includes `pt-BR`."),
]
ContentIds = Annotated[_Words | None, Field(description="Only in this content, or in these.")]
PublishedFrom = Annotated[
    datetime | None,
    BeforeValidator(given_moment),
    Field(description="Only what came out then or later; ISO 8601, UTC if bare."),
]


def _later(published_before: datetime | None, info: ValidationInfo) -> datetime | None:
    """Refuse a date that is not later than the ``published_from`` of the same call."""
    if reason := wrong_end(info.data.get("published_from"), published_before):
        raise PydanticCustomError("wrong_end", "{reason}", {"reason": reason})
    return published_before


PublishedBefore = Annotated[
    datetime | None,
    BeforeValidator(given_moment),
    AfterValidator(_later),
    Field(description="Only what came out before that; ISO 8601, UTC if bare."),
]
