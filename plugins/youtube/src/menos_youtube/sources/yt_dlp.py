"""Transcripts by yt-dlp, which knows more ways into YouTube; an optional extra."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from menos_youtube.caption_text import parse_caption_text
from menos_youtube.errors import named, no_source, no_transcript
from menos_youtube.sources import Transcript, Wanted
from menos_youtube.tracks import choose_track

_FORMAT: Final = "json3"
"""Generated captions in WebVTT repeat their lines; json3 has each word once."""


class YtDlp:
    """Asks in the name of several of YouTube's players."""

    name = "yt-dlp"

    def check(self) -> None:
        """See that yt-dlp is installed.

        Raises:
            Permanent: ``source_unavailable``; it is not.
        """
        if find_spec("yt_dlp") is None:
            raise no_source(
                "MENOS_YOUTUBE_SOURCES names 'yt-dlp', which is not installed: "
                "pip install 'menos-youtube[yt-dlp]'"
            )

    def fetch(self, wanted: Wanted) -> Transcript:
        """Fetch the captions that suit the languages best.

        Raises:
            Permanent: ``source_unavailable`` if yt-dlp is not installed, else those of
                :class:`~menos_youtube.sources.transcript_api.TranscriptApi`.
            Retryable: ``blocked``, ``network``, ``youtube_error``.
        """
        self.check()
        from menos_youtube.yt_dlp_session import YtDlpSession

        with YtDlpSession(wanted.settings, wanted.archive) as session:
            tracks = _tracks(session.extract(wanted.video_id))
            track = choose_track(tracks, wanted.languages, lambda t: (t[0], t[1]))
            if track is None:
                raise named("TranscriptsDisabled")
            language, generated, url = track
            raw, raw_key = session.fetch_captions(url)
        text, segments = parse_caption_text(raw.decode(errors="replace"))
        if segments is None:
            raise named("ParseError", "captions that are no json3")
        if not text:
            raise no_transcript()
        source = "generated captions" if generated else "captions"
        return Transcript(text, segments, language, source, raw_key)


def _tracks(info: dict[str, Any]) -> list[tuple[str, bool, str]]:
    """Each track's language, whether it was generated, and its URL; no translations."""
    found = []
    for kind, generated in (("subtitles", False), ("automatic_captions", True)):
        for files in (info.get(kind) or {}).values():
            urls = [file["url"] for file in files if file.get("ext") == _FORMAT]
            asked = parse_qs(urlsplit(urls[0]).query) if urls else {}
            # A translation by machine has `tlang`, the chat of a live stream no json3.
            if "lang" in asked and "tlang" not in asked:
                found.append((asked["lang"][-1], generated, urls[0]))
    return found
