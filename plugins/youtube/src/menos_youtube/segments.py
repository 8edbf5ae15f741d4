"""A transcript as text, and which second each passage of it is from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest


@dataclass(frozen=True)
class Segment:
    """A passage of a transcript: what is said from ``start`` for ``duration`` seconds."""

    text: str
    start: float
    duration: float


def tidy(segments: Iterable[Segment]) -> list[Segment]:
    """Put each text on one line, drop empty ones, and end each where the next one starts.

    YouTube's durations are times on screen, so that one segment overlaps the next. Halves of
    characters, which JSON can hold and files cannot, become question marks.
    """
    kept = [
        Segment(text, segment.start, segment.duration)
        for segment in segments
        if (text := " ".join(segment.text.encode(errors="replace").decode().split()))
    ]
    return [
        Segment(segment.text, round(segment.start, 3), round(_length(segment, following), 3))
        for segment, following in zip_longest(kept, kept[1:])
    ]


def join(segments: Sequence[Segment]) -> str:
    """The whole text: one segment a line."""
    return "\n".join(segment.text for segment in segments)


def index_json(segments: Sequence[Segment]) -> bytes:
    """The object ``segments``: a JSON list of ``[char_offset, start_seconds, duration_seconds]``.

    Offsets count characters (code points) in what :func:`join` returns, so that a passage of the
    text can be linked to its second.
    """
    index, offset = [], 0
    for segment in segments:
        index.append([offset, segment.start, segment.duration])
        offset += len(segment.text) + 1
    return json.dumps(index).encode()


def _length(segment: Segment, following: Segment | None) -> float:
    if following is None or following.start <= segment.start:
        return segment.duration
    return min(segment.duration, following.start - segment.start)
