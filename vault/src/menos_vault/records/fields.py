"""Which fields of a content callers may set, and their validation."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict
from unicodedata import category

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from menos_vault.errors import InvalidContent
from menos_vault.models import Content, storable


class ContentFields(TypedDict, total=False):
    """The optional fields of a content; their meaning is in `menos_vault.Content`."""

    author: str | None
    url: str | None
    language: str | None
    tags: list[str] | None
    metadata: dict[str, JsonValue] | None
    summary: str | None
    summary_of: str | None
    objects: dict[str, str] | None
    status: str | None
    error: str | None
    published_at: datetime | None
    created_at: datetime | None
    """When it was first stored, elsewhere; a content that is here keeps its own."""
    stored_by: str | None
    """The call that stores it; it is added to those that did."""


class NewContent(ContentFields):
    """A content to be stored."""

    resource_key: str
    content_type: str
    title: str


class ContentChanges(ContentFields, total=False):
    """All fields that a later write may change."""

    content_type: str
    title: str


def before_new_text(stored: Content, status: str) -> ContentChanges:
    """Return what to write of a content before its text changes: what was made of the text goes.

    Before, so that a process that dies in between leaves a content that says it has to be
    processed, by `status`, and never one that calls the new text processed.
    """
    changes: ContentChanges = {"status": status, "summary": None, "summary_of": None, "error": None}
    if stored.metadata.get("digest") is not None:
        changes["metadata"] = {"digest": None}
    return changes


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A time; one without a zone is UTC."""


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    resource_key: str = ""
    content_type: str = ""
    title: str = ""
    author: str | None = None
    url: str | None = None
    language: str | None = None
    tags: list[str] | None = None
    metadata: dict[str, JsonValue] | None = None
    summary: str | None = None
    summary_of: str | None = None
    objects: dict[str, str] | None = None
    status: str | None = None
    error: str | None = None
    published_at: Moment | None = None
    created_at: Moment | None = None
    stored_by: str | None = None

    @field_validator("*")
    @classmethod
    def _storable(cls, value: Any, info: ValidationInfo) -> Any:
        return storable(value, f"content field {info.field_name!r}")


# Fields that are empty rather than absent.
_EMPTY: dict[str, Any] = {"tags": []}


def valid_fields(fields: dict[str, Any], *, keep_none: bool) -> dict[str, Any]:
    """Validate fields for a write.

    With `keep_none`, None clears a field (`tags` become empty); without, it is left out. Raises
    InvalidContent that names the field.
    """
    try:
        valid = _Fields.model_validate(fields).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidContent(f"content field {place!r} is refused: {first['msg']}") from None
    if not keep_none:
        return {name: value for name, value in valid.items() if value is not None}
    for name in ("metadata", "objects"):
        if name in valid and valid[name] is None:
            # A merge cannot take keys away, so there is no way to say this to the database.
            raise InvalidContent(f"content field {name!r} is refused: it is merged, never cleared")
    return {name: _EMPTY.get(name) if value is None else value for name, value in valid.items()}


def moment_of(text: str) -> datetime:
    """Read a day or a time (ISO 8601) as a time in UTC, which it is if it names no zone.

    Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    try:
        return _in_utc(moment).astimezone(UTC)
    except OverflowError:
        raise ValueError("before the year 1, or after the year 9999") from None


def given_moment(given: object) -> datetime | None:
    """Take a day or a time as ISO 8601 has it, and nothing else: a validator for pydantic.

    (Its own would take a number, also one that is written as text, for seconds since 1970.)

    Raises PydanticCustomError, with an example.
    """
    if given is None:
        return None
    if isinstance(given, datetime):
        return _in_utc(given)
    try:
        return moment_of(given if isinstance(given, str) else "")
    except ValueError:
        raise PydanticCustomError(
            "no_date",
            "{given} is no date: give one such as 2024-05-01 or 2024-05-01T12:00:00+02:00 "
            "(ISO 8601)",
            {"given": repr(given)[:50]},
        ) from None


_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # of Hangul and Braille; nothing is seen of them


def is_blank(text: str) -> bool:
    """Whether a text has no visible character: no letter, number, sign or picture.

    White space, byte order marks and control characters are nothing that could be found, nor are
    accents without a letter.
    """
    return all(char in _BLANK_LETTERS or category(char)[0] not in "LNPS" for char in text)


def not_blank(text: str) -> str:
    """Refuse a text without any visible character: a validator for pydantic.

    Raises PydanticCustomError.
    """
    if is_blank(text):
        raise PydanticCustomError("empty_text", "it is empty: there is nothing in it to read")
    return text


def published(metadata: dict[str, Any] | None) -> datetime | None:
    """Return the time under `published_at` in a content's metadata, if it is one."""
    text = (metadata or {}).get("published_at")
    if not isinstance(text, str):
        return None
    try:
        return moment_of(text)
    except ValueError:
        return None


def check_numbers(value: Any, where: str) -> None:
    """Refuse numbers that JSON or the database cannot hold, at any depth. Raises InvalidContent."""
    if reason := unstorable_number(value):
        raise InvalidContent(f"content field {where!r} is refused: {reason}")


def unstorable_number(value: Any) -> str:
    """Say what is wrong with a number that JSON or the database cannot hold, at any depth."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return next(filter(None, map(unstorable_number, value)), "")
    if isinstance(value, float) and not math.isfinite(value):
        return f"it has a number that is {value}"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "it has an integer of more than 64 bits; send it as text"
    return ""
