"""A transcript that the caller supplies; it is then the only source."""

from __future__ import annotations

from typing import Final

from menos_bus import Permanent
from menos_youtube import archive
from menos_youtube.caption_text import parse_caption_text
from menos_youtube.sources import Transcript, Wanted

SOURCE: Final = "caller"


class Supplied:
    """The caller's own text: plain, SRT, WebVTT or json3, told apart by its looks."""

    name = "supplied"

    def __init__(self, transcript: str) -> None:
        """Take what the caller gave."""
        self._transcript = transcript

    def fetch(self, wanted: Wanted) -> Transcript:
        """Read it. Its language is the first one that is asked for, if any is.

        Raises:
            Permanent: ``no_transcript``; there is no text in it.
        """
        text, segments = parse_caption_text(self._transcript)
        # Stored only now: a refused one must not take the place of an earlier one.
        if not text:
            raise Permanent("transcript: there is no text in it", code="no_transcript")
        raw_key = wanted.archive(archive.SUPPLIED, self._transcript.encode())
        return Transcript(text, segments, next(iter(wanted.languages), None), SOURCE, raw_key)
