"""Captions in YouTube's format ``json3``: a list of events, each with pieces of text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from menos_youtube.segments import Segment

_LONGEST: Final = 10**9
"""Milliseconds: more than any video has."""


def read_json3(source: str) -> list[Segment] | None:
    """Read a caption file.

    Events without text (windows, and the line ends that generated captions append) come out as
    segments without text, which :func:`menos_youtube.segments.tidy` drops.

    Returns:
        Its segments, with YouTube's own durations; ``None`` if it is no json3.
    """
    if not source.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(source)
    except (ValueError, RecursionError):
        return None
    events = value.get("events")
    return list(_segments(events)) if isinstance(events, list) else None


def _segments(events: list[Any]) -> Iterator[Segment]:
    for event in events:
        if not isinstance(event, dict) or not isinstance(event.get("segs"), list):
            continue
        start = _milliseconds(event.get("tStartMs"))
        if start is None:
            continue
        pieces = [piece.get("utf8") for piece in event["segs"] if isinstance(piece, dict)]
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        duration = _milliseconds(event.get("dDurationMs")) or 0
        yield Segment(text, start / 1000, duration / 1000)


def _milliseconds(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LONGEST:
        return value
    return None
