"""A transcript in whatever form it comes, told apart by its looks.

Plain text, SRT, WebVTT, and what YouTube itself sends: json3 and its first XML format.
"""

from __future__ import annotations

import html
import re
from typing import Final, NamedTuple

from menos_youtube.json3 import read_json3
from menos_youtube.segments import Segment, join, tidy
from menos_youtube.timedtext import read_timedtext

_TIME: Final = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMING: Final = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_ROLLING: Final = re.compile(r"<(?:\d+:)?\d{1,2}:\d{2}\.\d{3}>")
# Tags such as <i>, </c>, <v Roger>, <00:00:01.000> and {\an8}; "a < b" stays.
_TAG: Final = re.compile(r"</?[A-Za-z0-9][^<>]*>|\{\\[^{}]*\}")


class CaptionText(NamedTuple):
    """What was read: the text, and its segments if the format has times."""

    text: str
    segments: list[Segment] | None


def parse_caption_text(source: str) -> CaptionText:
    """Read a transcript. What is neither of YouTube's and has no line of times is plain text.

    Returns:
        The text, empty if there is none, and the segments, ``None`` for plain text.
    """
    source = source.removeprefix("\ufeff")
    found = read_json3(source)
    if found is None:
        found = read_timedtext(source)
    if found is None:
        lines = source.splitlines()
        is_vtt = bool(lines) and lines[0].startswith("WEBVTT")
        if not is_vtt and not any(map(_TIMING.fullmatch, lines)):
            return CaptionText("\n".join(line.rstrip() for line in lines).strip(), None)
        found = _cues(lines, is_vtt=is_vtt)
    segments = tidy(found)
    return CaptionText(join(segments), segments)


def _cues(lines: list[str], *, is_vtt: bool) -> list[Segment]:
    # Captions that YouTube generated repeat the line before; nothing else may be dropped, since
    # people do say the same thing twice.
    rolling = is_vtt and any(map(_ROLLING.search, lines))
    timings = [(i, match) for i, line in enumerate(lines) if (match := _TIMING.fullmatch(line))]
    if not timings:
        return []
    ends = [index for index, _ in timings[1:]] + [len(lines)]
    cues: list[Segment] = []
    said = ""
    for (index, match), end in zip(timings, ends, strict=True):
        texts = [_clean(line) for line in _cue_lines(lines[index + 1 : end], is_vtt, end, lines)]
        if rolling:
            fresh = []
            for text in filter(None, texts):
                if text != said:
                    fresh.append(text)
                    said = text
            texts = fresh
        start, stop = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        cues.append(Segment(" ".join(texts), start, max(0.0, stop - start)))
    return cues


def _cue_lines(block: list[str], is_vtt: bool, end: int, lines: list[str]) -> list[str]:
    """Take the lines of one cue out of all that stands before the next line of times."""
    if is_vtt:
        # A blank line ends the cue; a name of the next one or a NOTE may follow.
        blank = next((i for i, line in enumerate(block) if not line), len(block))
        return block[:blank]
    if end < len(lines) and block and block[-1].strip().isdecimal():
        return block[:-1]  # the number of the next cue
    return block


def _clean(line: str) -> str:
    return html.unescape(_TAG.sub("", line)).strip()


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")
