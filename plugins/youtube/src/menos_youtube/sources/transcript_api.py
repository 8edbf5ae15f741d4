"""Transcripts from YouTube itself, by youtube-transcript-api."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from menos_bus.errors import TaskError
from menos_youtube.errors import from_library, no_transcript
from menos_youtube.playability import refusal
from menos_youtube.segments import Segment
from menos_youtube.sources import Transcript, Wanted
from menos_youtube.tracks import choose_track

if TYPE_CHECKING:
    from menos_youtube.session import SiteAdapter


class TranscriptApi:
    """Asks as YouTube's own page does: watch page, player, captions."""

    name = "youtube-transcript-api"

    def fetch(self, wanted: Wanted) -> Transcript:
        """Fetch the captions that suit the languages best.

        Raises:
            Permanent: ``video_unavailable``, ``video_private``, ``members_only``,
                ``age_restricted``, ``live_now``, ``transcripts_disabled``, ``no_transcript``.
            Retryable: ``blocked``, ``network``, ``youtube_error``.
        """
        from youtube_transcript_api import YouTubeTranscriptApi

        from menos_youtube.session import open_session

        session, adapter = open_session(wanted.settings, wanted.archive)
        with session, _errors_told(adapter):
            # One object for each call: it is not thread-safe.
            tracks = list(YouTubeTranscriptApi(http_client=session).list(wanted.video_id))
            if refused := refusal(adapter.player):
                raise refused
            track = choose_track(
                tracks, wanted.languages, lambda t: (t.language_code, t.is_generated)
            )
            if track is None:
                raise no_transcript()
            found = track.fetch()
        return Transcript.of(
            [Segment(snippet.text, snippet.start, snippet.duration) for snippet in found],
            found.language_code,
            "generated captions" if found.is_generated else "captions",
            adapter.captions_key,
        )


@contextmanager
def _errors_told(adapter: SiteAdapter) -> Iterator[None]:
    from menos_vault import VaultError

    try:
        yield
    except (TaskError, VaultError):
        raise
    except Exception as error:
        # Besides its own errors the library lets out those of requests, of an XML parser, and
        # KeyErrors when YouTube's data has another shape. What the player says is more exact.
        told = from_library(error, adapter.retry_after, adapter.route)
        raise refusal(adapter.player) or told from error
