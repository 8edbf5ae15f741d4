"""Which contents a search looks at."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from menos_vault.records.fields import Moment


class Filters(BaseModel):
    """Conditions that all have to hold; one that is empty always holds."""

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
        conditions.append(
            "(string::lowercase(language ?? '') IN $languages OR "
            "string::split(string::lowercase(language ?? ''), '-')[0] IN $languages)"
        )
        variables["languages"] = [tag.lower() for tag in filters.languages]
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
