"""What the vault stores and answers."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationInfo

from menos_vault.errors import InvalidContent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def content_id(resource_key: str) -> str:
    """Return the id of the content with this key, for example `yt:dQw4w9WgXcQ`.

    The first 32 hexadecimal digits (128 bits) of the key's SHA-256: always the same for the same
    key, of one length (so ranges of chunk ids sort right), and safe in any database and file name.
    """
    return hashlib.sha256(resource_key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def storable(value: Any, name: str) -> Any:
    """Return a value as every database can hold it: strings and keys, at any depth.

    The character NUL is replaced by its picture ␀: a server of engine 2 takes it and cannot read it
    any more. Raises InvalidContent, which says `name`, for half a surrogate pair: it is no
    character.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = value[error.start]
            raise InvalidContent(
                f"{name} is refused: it has half a surrogate pair ({half!r}), which is no character"
            ) from None
        return value.replace("\0", "␀")
    if isinstance(value, dict):
        return {storable(key, name): storable(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, name) for item in value]
    return value


def one_line(text: str) -> str:
    """Replace line breaks, with the spaces around them, by single spaces."""
    return " ".join(line.strip() for line in text.splitlines())


def _storable(value: str, info: ValidationInfo) -> str:
    return str(storable(value, f"chunk field {info.field_name!r}"))


Text = Annotated[str, AfterValidator(_storable)]


class Content(BaseModel):
    """One piece of content: a video, a document, a note."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="content_id(resource_key)")
    resource_key: str = Field(description="What it is in the world, for example `yt:dQw4w9WgXcQ`.")
    content_type: str = Field(description="For example `youtube`, `markdown`, `text`.")
    title: str
    author: str | None = None
    url: str | None = None
    language: str | None = Field(default=None, description="BCP 47 tag, for example `en`.")
    tags: list[str] = Field(
        default_factory=list, description="Those that people gave, then those that a model added."
    )
    metadata: dict[str, JsonValue] = Field(
        default_factory=dict, description="Anything else that the source says about it."
    )
    summary: str | None = None
    summary_of: str | None = Field(
        default=None, description="Fingerprint of what the summary was made of."
    )
    objects: dict[str, str] = Field(
        default_factory=dict,
        description="Role (`transcript`, `text`, …) → key in the object store.",
    )
    status: str | None = Field(default=None, description="How far it is, in the caller's words.")
    error: str | None = Field(default=None, description="Why it is no further.")
    published_at: datetime | None = Field(default=None, description="When it came out (UTC).")
    stored_by: list[str] = Field(
        default_factory=list,
        description="The calls that stored it, the last one last; the latest 16.",
    )
    created_at: datetime = Field(description="First stored (UTC).")
    updated_at: datetime = Field(description="Last written (UTC).")


class Chunk(BaseModel):
    """A passage of a content, the unit that is embedded and found."""

    model_config = ConfigDict(frozen=True)

    index: int = Field(ge=0, le=999_999, description="Place in the content, from 0.")
    text: Text
    start: float | None = Field(default=None, description="Seconds from the start, if spoken.")
    heading: Annotated[Text, AfterValidator(one_line)] | None = Field(
        default=None, description="Heading under which it stands, in one line."
    )


class NewChunks(NamedTuple):
    """The chunks that a content is to have."""

    content_id: str
    chunks: Sequence[Chunk]
    """Their indexes are 0 to n-1."""
    vectors: "NDArray[np.float32]"
    """Of shape (n, d): one per chunk, in the same order."""
    fingerprint: str = ""
    """Of what they were made of; kept as it is, see `ChunkSet`."""


class ChunkSet(BaseModel):
    """What is known of a content's chunks as a whole."""

    model_config = ConfigDict(frozen=True)

    version: str = Field(description="Another one after each write of the chunks.")
    count: int = Field(description="How many there are.")
    model: str | None = Field(description="Model of their vectors; None while they have none.")
    chunker: str = Field(default="", description="How the text was cut, in the cutter's words.")
    fingerprint: str = Field(default="", description="Of what they were made of.")


class Passage(BaseModel):
    """A passage that a search found, and what speaks for it."""

    model_config = ConfigDict(frozen=True)

    chunk: Chunk
    score: float = Field(
        description="Cosine similarity with the query, -1 to 1; in a search by words alone BM25."
    )
    combined: float = Field(description="What the order follows.")
    similarity: float | None = Field(
        default=None, description="Cosine similarity, if the search was by meaning."
    )
    keywords: float | None = Field(default=None, description="BM25, if the search was by words.")
    neighbours: float | None = Field(
        default=None,
        description="Mean score of what is like it, among the best of a search by both.",
    )
    highlights: list[tuple[int, int]] = Field(
        default_factory=list, description="Begin and end in the text of the query's words."
    )


class Hit(Passage):
    """A passage with the content that it is of."""

    content: Content
    others: list[Passage] = Field(
        default_factory=list, description="Further passages of the content, if grouped by content."
    )


class Counts(NamedTuple):
    """How much the vault holds."""

    contents: int
    chunks: int


class Statistics(BaseModel):
    """How much the vault holds, of what."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    contents: int
    chunks: int
    model: str | None = Field(description="Model of all vectors; None before the first ones.")
    dimension: int | None = Field(description="Length of all vectors.")
    content_types: dict[str, int] = Field(description="Type → contents.")
    statuses: dict[str, int] = Field(description="Status → contents.")


class Health(NamedTuple):
    """One finding about the vault's condition."""

    name: str
    """What was looked at, for example `records`."""
    ok: bool
    """Whether it works."""
    message: str
    """What was found."""
    fix: str = ""
    """What to do when it does not work."""

    @classmethod
    def failed(cls, name: str, error: Exception, fix: str = "") -> Self:
        """Say what an error says: what is wrong, then behind a semicolon what to do, else `fix`."""
        message, _, advice = str(error).partition("; ")
        return cls(name, False, message, advice or fix)
