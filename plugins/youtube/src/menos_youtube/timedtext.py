"""Captions in YouTube's first format, ``<transcript><text start="…" dur="…">``."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Final

from menos_youtube.segments import Segment

_TAG: Final = re.compile(r"<[^>]*>")
_NUMBER: Final = re.compile(r"\d{1,7}(?:\.\d+)?")


def read_timedtext(source: str) -> list[Segment] | None:
    """Read a caption file.

    Returns:
        Its segments, with YouTube's own durations; ``None`` if it is none.
    """
    if "<transcript" not in source[:500]:
        return None
    parser = _Parser()
    parser.feed(source)
    parser.close()
    return parser.segments


class _Parser(HTMLParser):
    """Collects the elements ``text``. Not an XML parser, so that no entity can hurt."""

    def __init__(self) -> None:
        super().__init__()
        self.segments: list[Segment] = []
        self._start: float | None = None
        self._duration = 0.0
        self._pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a segment."""
        if tag == "text":
            given = dict(attrs)
            self._start = _seconds(given.get("start"))
            self._duration = _seconds(given.get("dur")) or 0.0
            self._pieces = []

    def handle_data(self, data: str) -> None:
        """Take text; inside of it, markup and signs are written as entities once more."""
        self._pieces.append(data)

    def handle_endtag(self, tag: str) -> None:
        """End a segment."""
        if tag == "text" and self._start is not None:
            text = _TAG.sub("", html.unescape("".join(self._pieces)))
            self.segments.append(Segment(text, self._start, self._duration))
            self._start = None


def _seconds(value: str | None) -> float | None:
    return float(value) if value and _NUMBER.fullmatch(value) else None
