"""What stands in a video's description: its URLs, and its chapters by YouTube's own rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

# CJK brackets and full-width signs end a URL; people write them without a space.
_URL: Final = re.compile(
    r"https?://[^\s<>\"\u200b\u3000-\u303f\uff00-\uff60]{1,2000}", re.IGNORECASE
)
_AFTER_URL: Final = ".,;:!?'*_~|\\…’”»›"
_BRACKETS: Final = {")": "(", "]": "[", "}": "{"}

_TIME: Final = r"(?<![\d:.])(?:(?P<h>\d{1,3}):)?(?P<m>\d{1,2}):(?P<s>\d{2})(?!:?\d)"
_END: Final = r"(?:\s*[-–—]\s*(?:\d{1,3}:)?\d{1,2}:\d{2}(?!:?\d))?"
# Whatever people put around a timestamp: bullets, brackets, dashes, arrows; no letters.
_AROUND: Final = r"[\W_]*"
_LEADING: Final = re.compile(rf"{_AROUND}(?:\d{{1,3}}[.)]\s)?{_AROUND}{_TIME}{_END}(?P<title>.*)")
_TRAILING: Final = re.compile(rf"(?P<title>.*?){_TIME}{_END}{_AROUND}")
_LONGEST_LINE: Final = 500
_BEFORE_TITLE: Final = " \t-–—:|•·*>→►▶~_=.,)]}"
_AFTER_TITLE: Final = " \t-–—:|•·*<→►▶~_=([{"

_FEWEST: Final = 3
_SHORTEST: Final = 10
"""Seconds."""


class Chapter(NamedTuple):
    """A part of a video: the second it begins at, and its title."""

    start: int
    title: str


def find_urls(description: str) -> list[str]:
    """The http and https URLs of a text, each once, without the punctuation that follows them."""
    urls = (_without_punctuation(found[0]) for found in _URL.finditer(description))
    return list(dict.fromkeys(url for url in urls if _has_host(url)))


def find_chapters(description: str, duration: int | None = None) -> list[Chapter]:
    """The chapters that a description lists.

    YouTube's rule: timestamps that begin at 0:00, at least three, ascending, each chapter at least
    10 seconds long. The timestamps stand either all before or all after the titles.

    Args:
        description: the description.
        duration: the video's seconds, if known: the last chapter ends there.

    Returns:
        The chapters; none if there is no such list.
    """
    lines = description.splitlines()
    for pattern in (_LEADING, _TRAILING):
        for chapters in _lists(pattern, lines):
            if _is_valid(chapters, duration):
                return chapters
    return []


def _without_punctuation(url: str) -> str:
    while url:
        last = url[-1]
        opening = _BRACKETS.get(last)
        # A bracket that was opened in the URL belongs to it: …/wiki/Bus_(computing)
        unmatched = opening is not None and url.count(last) > url.count(opening)
        if last not in _AFTER_URL and not unmatched:
            break
        url = url[:-1]
    return url


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _lists(pattern: re.Pattern[str], lines: list[str]) -> Iterator[list[Chapter]]:
    """Each run of timestamps that begins at 0:00."""
    chapters: list[Chapter] = []
    for chapter in filter(None, (_chapter(pattern, line) for line in lines)):
        if chapter.start == 0 and chapters:
            yield chapters
            chapters = []
        if chapters or chapter.start == 0:
            chapters.append(chapter)
    yield chapters


def _chapter(pattern: re.Pattern[str], line: str) -> Chapter | None:
    match = pattern.fullmatch(line.strip()) if len(line) <= _LONGEST_LINE else None
    if match is None:
        return None
    title = " ".join(match["title"].lstrip(_BEFORE_TITLE).rstrip(_AFTER_TITLE).split())
    hours, minutes, seconds = int(match["h"] or 0), int(match["m"]), int(match["s"])
    if not title or seconds > 59 or (match["h"] and minutes > 59):
        return None
    return Chapter(hours * 3600 + minutes * 60 + seconds, title)


def _is_valid(chapters: list[Chapter], duration: int | None) -> bool:
    starts = [chapter.start for chapter in chapters]
    ends = starts[1:] + ([duration] if duration else [])
    return len(chapters) >= _FEWEST and all(
        end - start >= _SHORTEST for start, end in zip(starts, ends, strict=False)
    )
