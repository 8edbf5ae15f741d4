"""What is processed: a content with its text and, for a transcript, its times."""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from menos_bus import Permanent
from menos_vault import ChunkSet, Content, ObjectNotFound, Vault


@dataclass(frozen=True)
class Document:
    """A content as an operation gets it.

    Attributes:
        content: its record.
        text: its text.
        segments: ``(char_offset, start_seconds)`` of each passage of a transcript, by offset;
            empty for what is not spoken.
        chunk_set: what is known of its passages in the vault, which may be those of another text;
            ``None`` if there are none.
    """

    content: Content
    text: str
    segments: list[tuple[int, float]]
    chunk_set: ChunkSet | None = None

    @property
    def is_markdown(self) -> bool:
        """Whether the text is Markdown."""
        return self.content.content_type in ("markdown", "text/markdown")

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same text, times, title and kind, and for nothing else."""
        digest = hashlib.sha256()
        for part in (
            self.content.title,
            self.content.content_type,
            json.dumps(self.segments),
            self.text,
        ):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.hexdigest()

    def second_at(self, offset: int) -> float | None:
        """The second at which the passage that holds this character begins, if it is spoken."""
        if not self.segments:
            return None
        place = bisect.bisect_right(self.segments, offset, key=lambda segment: segment[0])
        return self.segments[max(0, place - 1)][1]


def read_document(
    vault: Vault, content: Content, chunk_sets: Mapping[str, ChunkSet] | None = None
) -> Document:
    """Read a content's text and times.

    The object ``segments`` is a JSON list of ``[char_offset, start_seconds, duration_seconds]``.

    Args:
        vault: where from.
        content: its record.
        chunk_sets: what is known of the passages of several contents, by id, if it was read before.

    Raises:
        Permanent: it has no text (``no_text``), or its objects are damaged (``bad_segments``).
    """
    try:
        text = vault.objects.get(content.objects["text"]).decode()
    except (KeyError, ObjectNotFound, UnicodeDecodeError):
        raise Permanent(
            f"content {content.id} ({content.title!r}) has no readable text: store it again",
            code="no_text",
        ) from None
    if chunk_sets is None:
        chunk_sets = vault.records.chunk_sets([content.id])
    return Document(content, text, _segments(vault, content), chunk_sets.get(content.id))


def _segments(vault: Vault, content: Content) -> list[tuple[int, float]]:
    key = content.objects.get("segments")
    if key is None:
        return []
    try:
        rows = json.loads(vault.objects.get(key))
        return sorted((int(row[0]), float(row[1])) for row in rows)
    except (ObjectNotFound, ValueError, TypeError, LookupError) as error:
        raise Permanent(
            f"the times of content {content.id} ({content.title!r}) cannot be read from the object "
            f"{key!r} ({error}): ingest it again",
            code="bad_segments",
        ) from None
