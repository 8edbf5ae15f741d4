"""Which contents a search looks at."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from menos_vault.errors import InvalidContent
from menos_vault.models import storable
from menos_vault.records.fields import Moment


def wrong_end(published_from: datetime | None, published_before: datetime | None) -> str:
    """Say what is wrong with the second of two dates: nothing can be in between."""
    if published_from is None or published_before is None or published_from < published_before:
        return ""
    begin = published_from.isoformat()
    return f"must be later than published_from ({begin}): nothing came out in between"


class Filters(BaseModel):
    """Conditions that all have to hold; one that is empty always holds.

    Raises InvalidContent if `published_before` is not later than `published_from`, or if a text has
    half a surrogate pair.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    content_ids: list[str] = Field(default_factory=list, description="One of these contents.")
    content_types: list[str] = Field(default_factory=list, description="One of these types.")
    authors: list[str] = Field(default_factory=list, description="By one of these.")
    languages: list[str] = Field(
        default_factory=list, description="In one of these; `pt` includes `pt-BR`."
    )
    tags: list[str] = Field(default_factory=list, description="With all of these tags.")
    published_from: Moment | None = Field(default=None, description="Then or later.")
    published_before: Moment | None = Field(default=None, description="Earlier than that.")

    @field_validator("*")
    @classmethod
    def _as_stored(cls, value: Any, info: ValidationInfo) -> Any:
        return storable(value, f"filter {info.field_name!r}")

    @model_validator(mode="after")
    def _not_reversed(self) -> Self:
        if reason := wrong_end(self.published_from, self.published_before):
            raise InvalidContent(f"published_before {reason}")
        return self

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return any(getattr(self, name) for name in type(self).model_fields)


NO_FILTERS = Filters()


def filter_conditions(filters: Filters) -> tuple[list[str], dict[str, Any]]:
    """Return the conditions for the database, and their variables."""
    from surrealdb import RecordID

    conditions: list[str] = []
    variables: dict[str, Any] = {}
    for name, column, values in (
        ("types", "content_type", filters.content_types),
        ("authors", "author", filters.authors),
        ("ids", "id", [RecordID("content", identity) for identity in filters.content_ids]),
    ):
        if values:
            conditions.append(f"{column} IN ${name}")
            variables[name] = values
    if filters.languages:
        # With a hyphen at the end, what a tag begins with is the tag or one of its wider ones.
        begins = "string::starts_with(string::concat(string::lowercase(language ?? ''), '-'), "
        wanted = {f"language{n}": f"{tag.lower()}-" for n, tag in enumerate(filters.languages)}
        conditions.append(f"({' OR '.join(f'{begins}${name})' for name in wanted)})")
        variables |= wanted
    if filters.tags:
        conditions.append("tags CONTAINSALL $tags")
        variables["tags"] = filters.tags
    for sign, name, moment in (
        (">=", "published_from", filters.published_from),
        ("<", "published_before", filters.published_before),
    ):
        if moment is not None:
            # To the database, what is absent is earlier than everything.
            conditions.append(f"published_at != NONE AND published_at {sign} ${name}")
            variables[name] = moment
    return conditions, variables
