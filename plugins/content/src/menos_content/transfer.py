"""Contents as lines of JSON, from one vault into another.

A line is a content with its objects: everything but what can be computed again, which are its
passages and their vectors.
"""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from menos_bus import Permanent, task_id
from menos_content import fields
from menos_content.failed_lines import FailedLines
from menos_content.operations import Operation
from menos_content.process import PROCESSED, Failed, process_many
from menos_content.room import Room
from menos_content.side_by_side import side_by_side
from menos_content.store import archive, default_key, put_text
from menos_vault import (
    Content,
    InvalidKey,
    ObjectNotFound,
    Vault,
    content_id,
)
from menos_vault.objects.keys import check_key
from menos_vault.records import NewContent
from menos_vault.records.calls import call_of, digest_of, stored_before

PAGE_BYTES: Final = 4_000_000
"""Size of a page of lines after which no further one is begun."""

_LONGEST_OBJECT: Final = 30_000_000
"""Characters of an object in a line."""

_OF_A_LINE: Final = (Permanent, InvalidKey)
"""What is wrong with a line, and not with the vault."""

_FIELDS: Final = (
    "author",
    "url",
    "language",
    "tags",
    "metadata",
    "summary",
    "summary_of",
    "status",
    "error",
    "published_at",
    "created_at",
)


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("not_base64", "it is not base64") from None
    return text


def _is_key(key: str) -> str:
    try:
        check_key(key)
    except InvalidKey as error:
        raise PydanticCustomError("not_a_key", "{why}", {"why": str(error)}) from None
    return key


class ObjectLine(BaseModel):
    """An object: its key, and its bytes as text, or as base64 if they are none."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_is_key)]
    text: Annotated[str, Field(max_length=_LONGEST_OBJECT)] | None = None
    base64: Annotated[str, Field(max_length=_LONGEST_OBJECT), AfterValidator(_is_base64)] | None = (
        None
    )


class _Line(BaseModel, ABC):
    """What every line may say."""

    # Where a length is asked for, pydantic looks into a text, also one in metadata, and names the
    # field that has half a surrogate pair.
    model_config = ConfigDict(extra="forbid", str_max_length=fields.LONGEST_TEXT)

    content_type: fields.ContentType = "text"
    url: fields.Url = None
    summary: str | None = None
    summary_of: str | None = None
    status: str | None = None
    error: str | None = None
    published_at: fields.PublishedAt = None
    created_at: fields.CreatedAt = None

    @property
    @abstractmethod
    def key(self) -> str:
        """Its resource key."""

    @cached_property
    def content_id(self) -> str:
        """The id that its content has or will have."""
        return content_id(self.key)

    @cached_property
    def digest(self) -> str:
        """The same for a line that says the same."""
        return digest_of(self.model_dump(exclude_unset=True))


class TextLine(_Line):
    """A text, of which all holds that does for ``tasks.store_content``."""

    resource_key: fields.ResourceKey = None
    title: fields.Title
    author: fields.Author = None
    language: fields.Language = None
    tags: fields.Tags = None
    metadata: fields.Metadata = None
    text: fields.Text

    @property
    def key(self) -> str:
        """Its resource key."""
        return self.resource_key or default_key(self.title, self.text)


class ExportedLine(_Line):
    """A content with its objects, as a vault had it: what was stored once is taken back."""

    resource_key: Annotated[str, Field(min_length=1, max_length=500)]
    title: Annotated[str, Field(min_length=1, max_length=500)]
    author: str | None = None
    language: str | None = None
    tags: list[str] = Field(default_factory=list)
    metadata: Annotated[dict[str, JsonValue], AfterValidator(fields.check_values)] = Field(
        default_factory=dict
    )
    objects: dict[str, ObjectLine]

    @property
    def key(self) -> str:
        """Its resource key."""
        return self.resource_key


def _kind(line: Any) -> str | None:
    """Which line it is; ``None`` for one that would be both."""
    if not isinstance(line, Mapping) or "objects" not in line:
        return "text"
    return None if "text" in line else "exported"


ContentLine = Annotated[
    Annotated[TextLine, Tag("text")] | Annotated[ExportedLine, Tag("exported")],
    Discriminator(
        _kind,
        custom_error_type="two_texts",
        custom_error_message="it has a text and objects: leave one of them out",
    ),
]


class Lost(TypedDict):
    """A content of which an object, such as its ``text``, is not where its record says."""

    content_id: str
    title: str
    object: str


class Exported(TypedDict):
    """A page of lines; ``next`` is the ``offset`` of the page after it, ``None`` at the end.

    ``lost`` are objects that its lines lack, though the vault should have them.
    """

    lines: list[dict[str, Any]]
    lost: list[Lost]
    next: int | None


class Imported(TypedDict):
    """What was stored, and which of it could not be stored or processed, and why."""

    status: str
    content_ids: list[str]
    failed: list[Failed]


def export_page(vault: Vault, *, limit: int, offset: int) -> Exported:
    """Up to ``limit`` contents from the ``offset``-th on, the newest first."""
    page = vault.records.list_contents(limit=limit, offset=offset)
    lines: list[dict[str, Any]] = []
    lost: list[Lost] = []
    deleted = size = 0
    for content in page:
        line = _line(vault, content)
        roles = [role for role in content.objects if role not in line["objects"]]
        if roles and not vault.records.get_contents([content.id]):
            deleted += 1  # while this went on
            continue
        lines.append(line)
        lost += [{"content_id": content.id, "title": content.title, "object": r} for r in roles]
        size += sum(len(o["text"] or o["base64"] or "") for o in line["objects"].values())
        if size > PAGE_BYTES:
            break
    more = len(page) == limit or len(lines) + deleted < len(page)
    return {"lines": lines, "lost": lost, "next": offset + len(lines) if more else None}


def import_lines(
    vault: Vault, lines: Sequence[ContentLine], operations: Sequence[Operation]
) -> Imported:
    """Store contents, several at a time, and run operations on those that have a text.

    It is repeatable at any point, since the objects of a content go first. A line that cannot be
    stored keeps no other back, and what failed for good is not tried again.

    Raises:
        Deferred: there is more to do, and it is put back for a moment.
        VaultError: the vault could not store it, or another try at an operation may help.
    """
    kept = FailedLines(task_id(), vault)
    before = kept.read()
    # Of lines with one key the last one counts.
    contents = {line.content_id: line for line in lines}
    digests = {identity: line.digest for identity, line in contents.items()}
    left = [line for line in contents.values() if line.digest not in before]

    def work(group: Sequence[ContentLine], room: Room) -> Iterator[list[Failed]]:
        for failed in _import(vault, group, operations, room):
            if failed:
                kept.keep(digests[failed[0]["content_id"]], failed)
            yield failed

    done = side_by_side(work, left, stage="importing", done=len(contents) - len(left))
    return {
        "status": "success",
        "content_ids": [line.content_id for line in lines],
        "failed": [failure for failures in (*before.values(), *done) for failure in failures],
    }


def _import(
    vault: Vault, group: Sequence[ContentLine], operations: Sequence[Operation], room: Room
) -> Iterator[list[Failed]]:
    """Store some lines and process them, and yield of each what failed for good."""
    known = vault.records.get_contents([line.content_id for line in group])
    calls = {line.content_id: call_of(task_id(), line.digest) for line in group}
    before = stored_before(vault.records, calls, known)
    stored = []
    new = []
    for line in group:
        if line.content_id in before:
            if line.content_id in known:
                stored.append(known[line.content_id])
            else:
                yield []  # it was deleted meanwhile
            continue
        try:
            new.append(_archive(vault, line, known, calls[line.content_id]))
        except _OF_A_LINE as error:
            yield [{"content_id": line.content_id, "code": error.code, "message": str(error)}]
    stored += vault.records.put_contents(new)
    texts = [content for content in stored if operations and "text" in content.objects]
    yield from [[]] * (len(stored) - len(texts))
    if texts:
        yield from process_many(vault, texts, operations, room)


def _archive(
    vault: Vault, line: ContentLine, stored: Mapping[str, Content], call: str | None
) -> NewContent:
    """Store the objects of a content, and return it as this call is to write it after that."""
    # What is left out stays as it is.
    names = ("content_type", "title", *(name for name in _FIELDS if name in line.model_fields_set))
    given = {name: value for name in names if (value := getattr(line, name)) is not None}
    given |= {"resource_key": line.key, "stored_by": call}
    if line.status == PROCESSED:
        # Where it was exported: its passages are not in the line, so it is here as it was.
        del given["status"]
    if isinstance(line, TextLine):
        return archive(vault, line.text, cast("NewContent", given), stored)
    given["objects"] = {role: item.key for role, item in line.objects.items()}
    new = cast("NewContent", given)
    for role, item in line.objects.items():
        data = (item.text or "").encode() if item.base64 is None else base64.b64decode(item.base64)
        if role == "text":
            new = put_text(vault, item.key, data, new, stored.get(line.content_id))
        else:
            vault.objects.put(item.key, data)
    return new


def _line(vault: Vault, content: Content) -> dict[str, Any]:
    plain = content.model_dump(mode="json")
    return {
        **{name: plain[name] for name in ("resource_key", "content_type", "title", *_FIELDS)},
        "objects": {
            role: found
            for role, key in content.objects.items()
            if (found := _object(vault, key)) is not None
        },
    }


def _object(vault: Vault, key: str) -> dict[str, str | None] | None:
    try:
        data = vault.objects.get(key)
    except ObjectNotFound:
        return None
    try:
        return {"key": key, "text": data.decode(), "base64": None}
    except UnicodeDecodeError:
        return {"key": key, "text": None, "base64": base64.b64encode(data).decode()}
