"""Where a transcript comes from: one class per source, tried in the order of a setting.

A plugin adds a source by registering an object with ``name`` and ``fetch`` at the point
:data:`POINT`; whoever runs the bus then names it in ``MENOS_YOUTUBE_SOURCES``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from menos_youtube.segments import Segment, join, tidy
from menos_youtube.settings import YoutubeSettings

__all__ = ["POINT", "Transcript", "TranscriptSource", "Wanted"]

POINT: Final = "youtube.transcript_source"
"""The extension point of sources."""


@dataclass(frozen=True)
class Wanted:
    """A transcript that is looked for.

    Attributes:
        video_id: the video's id.
        languages: preferred languages as BCP 47 tags, the best first; none of them is a must.
        settings: the plugin's settings, with site, timeout and proxy.
        archive: stores a raw answer under a name and returns its object key. To be called as soon
            as an answer is there, before anything is read in it. A name begins with the source's.
    """

    video_id: str
    languages: Sequence[str]
    settings: YoutubeSettings
    archive: Callable[[str, bytes], str]


@dataclass(frozen=True)
class Transcript:
    """What a source has found.

    Attributes:
        text: the whole text; with segments, one segment a line.
        segments: passages with their seconds, ``None`` if there are no times.
        language: BCP 47 tag of this text, whatever was asked for; ``None`` if unknown.
        source: where it is from, in words that a person reads in the metadata.
        raw_key: the object key of the answer that it was read from.
    """

    text: str
    segments: list[Segment] | None
    language: str | None
    source: str
    raw_key: str

    @classmethod
    def of(
        cls, segments: Sequence[Segment], language: str | None, source: str, raw_key: str
    ) -> Transcript:
        """Make a transcript of segments, such as they come: overlapping, with empty ones."""
        tidied = tidy(segments)
        return cls(join(tidied), tidied, language, source, raw_key)

    def __post_init__(self) -> None:
        if self.segments is not None and self.text != join(self.segments):
            raise ValueError("text: must be the segments' texts, one a line; see Transcript.of")


class TranscriptSource(Protocol):
    """What looks for transcripts. One object serves all threads."""

    @property
    def name(self) -> str:
        """How ``MENOS_YOUTUBE_SOURCES`` names it."""
        ...

    def fetch(self, wanted: Wanted) -> Transcript:
        """Find the transcript that suits best.

        Raises:
            TaskError: there is none, or none now; the next source is asked.
        """
        ...
