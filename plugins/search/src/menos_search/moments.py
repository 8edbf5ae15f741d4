"""The second at which the words of a query are spoken, inside a passage that takes a minute."""

from __future__ import annotations

import bisect
import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from menos_vault import Chunk, Content, VaultError, open_vault

_KEPT = 64
"""Texts with times that a process keeps at hand; one of four hours takes a megabyte."""


class _Spoken(NamedTuple):
    """A transcript: its text, and offset and second of each segment, by offset."""

    text: str
    offsets: list[int]
    seconds: list[float]

    def segment_at(self, offset: int) -> int:
        return max(0, bisect.bisect_right(self.offsets, offset) - 1)


def second_of(
    content: Content, chunk: Chunk, highlights: Sequence[tuple[int, int]]
) -> float | None:
    """The second of the segment that has most of the highlighted words, the first of such.

    Args:
        content: whose passage it is.
        chunk: the passage.
        highlights: pairs of begin and end in its text.

    Returns:
        The start of the passage if that is all that is known; ``None`` if it is not spoken.
    """
    text, segments = content.objects.get("text"), content.objects.get("segments")
    if chunk.start is None or not highlights or text is None or segments is None:
        return chunk.start
    try:
        spoken = _read(text, segments, content.updated_at.isoformat())
    except (VaultError, ValueError, TypeError, LookupError):
        return chunk.start  # which is still right
    offset = _offset_of(chunk, spoken)
    if offset is None:
        return chunk.start
    found = Counter(spoken.segment_at(offset + begin) for begin, _ in highlights)
    most = max(found.values())
    return spoken.seconds[min(segment for segment, count in found.items() if count == most)]


def _offset_of(chunk: Chunk, spoken: _Spoken) -> int | None:
    """Where the passage stands in the text; what is said twice is told apart by its second."""
    offset = spoken.text.find(chunk.text)
    while offset >= 0:
        if spoken.seconds and spoken.seconds[spoken.segment_at(offset)] == chunk.start:
            return offset
        offset = spoken.text.find(chunk.text, offset + 1)
    return None


@lru_cache(_KEPT)
def _read(text_key: str, segments_key: str, _version: str) -> _Spoken:
    objects = open_vault().objects
    rows = sorted((int(row[0]), float(row[1])) for row in json.loads(objects.get(segments_key)))
    text = objects.get(text_key).decode()
    return _Spoken(text, [offset for offset, _ in rows], [second for _, second in rows])
