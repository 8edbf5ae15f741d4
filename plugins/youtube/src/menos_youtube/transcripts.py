"""Transcripts from YouTube itself, by youtube-transcript-api."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from menos_youtube.errors import from_library, no_transcript
from menos_youtube.segments import Segment, tidy
from menos_youtube.session import CAPTIONS, PLAYER, open_session
from menos_youtube.settings import YoutubeSettings

if TYPE_CHECKING:
    from youtube_transcript_api import Transcript


class Fetched(NamedTuple):
    """A transcript as YouTube has it.

    Attributes:
        segments: in order, none empty.
        language: BCP 47 tag of the captions that were taken, whichever were asked for.
        generated: whether YouTube's speech recognition wrote them.
        captions: the caption file as it came (XML).
        player: the player's answer as it came (JSON), which knows the title as well.
    """

    segments: list[Segment]
    language: str
    generated: bool
    captions: bytes
    player: bytes


def fetch_transcript(video_id: str, languages: Sequence[str], settings: YoutubeSettings) -> Fetched:
    """Fetch the transcript that suits the languages best: watch page, player, captions.

    Raises:
        Permanent: ``video_unavailable``, ``age_restricted``, ``transcripts_disabled``,
            ``no_transcript``.
        Retryable: ``blocked``, ``network``, ``youtube_error``.
    """
    from youtube_transcript_api import YouTubeTranscriptApi

    session, adapter = open_session(settings)
    with session:
        try:
            tracks = list(YouTubeTranscriptApi(http_client=session).list(video_id))
            track = choose_track(tracks, languages)
            found = track.fetch() if track is not None else None
        except Exception as error:
            # Besides its own errors the library lets out those of requests, of an XML parser, and
            # KeyErrors when YouTube's data has another shape.
            raise from_library(error) from error
    segments = tidy(Segment(s.text, s.start, s.duration) for s in found or ())
    if found is None or not segments:
        raise no_transcript()
    return Fetched(
        segments,
        found.language_code,
        found.is_generated,
        captions=adapter.answers[CAPTIONS],
        player=adapter.answers[PLAYER],
    )


def choose_track(tracks: Sequence[Transcript], languages: Sequence[str]) -> Transcript | None:
    """Choose captions: the first language that there is, written ones before generated ones.

    ``en`` takes ``en-GB`` as well. If no language fits: the language that is spoken, which the
    generated captions tell, then whatever comes first.
    """
    for wanted in languages:
        fitting = [track for track in tracks if _primary(track.language_code) == _primary(wanted)]
        if fitting:
            return min(
                fitting,
                key=lambda t: (t.is_generated, t.language_code.lower() != wanted.lower()),
            )
    spoken = {_primary(track.language_code) for track in tracks if track.is_generated}
    in_spoken = [track for track in tracks if _primary(track.language_code) in spoken]
    return next(iter(in_spoken or tracks), None)


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()
