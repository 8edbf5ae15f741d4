"""Where the objects of a video are kept: raw answers first, then what is made of them."""

from __future__ import annotations

from typing import Final

DATA_API: Final = "data-api.json"
PLAYER: Final = "player.json"
OEMBED: Final = "oembed.json"
CAPTIONS: Final = "captions.xml"
SUPPLIED: Final = "supplied.txt"
TEXT: Final = "text.txt"
SEGMENTS: Final = "segments.json"


def key(video_id: str, name: str) -> str:
    """The object key of one of the names above."""
    return f"youtube/{video_id}/{name}"
