"""How a video gets into the vault: metadata, transcript, archive, record.

Every step can be repeated: ids and object keys follow from the video's id, and what was archived
is not fetched again unless the caller asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from menos_bus import progress
from menos_vault import Content, ContentNotFound, Vault, content_id
from menos_youtube import archive
from menos_youtube.caption_text import parse_caption_text
from menos_youtube.errors import no_transcript
from menos_youtube.metadata import Metadata, from_data_api, from_oembed, from_player, one_line
from menos_youtube.segments import Segment, index_json, join
from menos_youtube.settings import YoutubeSettings
from menos_youtube.video_id import watch_url


@dataclass(frozen=True)
class Request:
    """What a caller wants of a video.

    Attributes:
        video_id: its id.
        transcript: the caller's own transcript; plain text, SRT or WebVTT.
        title: the caller's own title.
        languages: languages of captions, the preferred one first; empty for the default.
        refresh: fetch again what the vault has.
    """

    video_id: str
    transcript: str | None = None
    title: str | None = None
    languages: Sequence[str] = ()
    refresh: bool = False


class _Transcript(NamedTuple):
    text: str
    segments: list[Segment] | None
    language: str | None
    source: str
    raw_key: str


class Ingest:
    """One run of ``tasks.ingest_youtube``."""

    def __init__(self, request: Request, vault: Vault, settings: YoutubeSettings) -> None:
        """Look up what the vault has of the video."""
        self._request = request
        self._vault = vault
        self._settings = settings
        self._stored = _find(vault, f"yt:{request.video_id}")
        self._metadata = Metadata()
        self._metadata_key: str | None = None

    def run(self) -> Content:
        """Store the video, or find that it is stored.

        Raises:
            TaskError: see :mod:`menos_youtube.errors`.
            VaultError: the vault does not take it.
        """
        title = self._request.title
        if self._stored is not None and self._is_complete(self._stored):
            if title and title != self._stored.title:
                return self._vault.records.update_content(self._stored.id, title=title)
            return self._stored
        progress("metadata")
        if self._settings.api_key is not None:
            self._learn(archive.DATA_API, self._ask_data_api, from_data_api)
        progress("transcript")
        supplied = self._request.transcript
        transcript = self._fetch() if supplied is None else self._take(supplied)
        if not (title or self._metadata.title):
            self._learn(archive.OEMBED, self._ask_oembed, from_oembed)
        progress("storing")
        return self._store(transcript)

    def _is_complete(self, stored: Content) -> bool:
        text = stored.objects.get("text")
        if self._request.refresh or text is None or not self._vault.objects.exists(text):
            return False
        if self._request.transcript is None:
            return True
        raw = archive.key(self._request.video_id, archive.SUPPLIED)
        return (
            stored.objects.get("transcript") == raw
            and self._vault.objects.exists(raw)
            and self._vault.objects.get(raw) == self._request.transcript.encode()
        )

    def _learn(
        self, name: str, ask: Callable[[], bytes | None], read: Callable[[bytes], Metadata]
    ) -> None:
        """Add what an answer says, one that was archived if there is one."""
        key = archive.key(self._request.video_id, name)
        if not self._request.refresh and self._vault.objects.exists(key):
            raw: bytes | None = self._vault.objects.get(key)
        elif (raw := ask()) is not None:
            self._vault.objects.put(key, raw)
        if raw is not None:
            self._metadata = self._metadata.completed_by(read(raw))
            self._metadata_key = self._metadata_key or key

    def _ask_data_api(self) -> bytes:
        from menos_youtube.data_api import fetch_video

        return fetch_video(self._request.video_id, self._settings)

    def _ask_oembed(self) -> bytes | None:
        from menos_youtube.oembed import fetch_oembed

        return fetch_oembed(self._request.video_id, self._settings)

    def _fetch(self) -> _Transcript:
        from menos_youtube.transcripts import fetch_transcript

        video_id = self._request.video_id
        found = fetch_transcript(video_id, self._request.languages or ["en"], self._settings)
        raw_key = archive.key(video_id, archive.CAPTIONS)
        self._vault.objects.put(raw_key, found.captions)
        player_key = archive.key(video_id, archive.PLAYER)
        self._vault.objects.put(player_key, found.player)
        self._metadata = self._metadata.completed_by(from_player(found.player))
        self._metadata_key = self._metadata_key or player_key
        source = "generated captions" if found.generated else "captions"
        return _Transcript(join(found.segments), found.segments, found.language, source, raw_key)

    def _take(self, supplied: str) -> _Transcript:
        text, segments = parse_caption_text(supplied)
        if not text:
            raise no_transcript()
        raw_key = archive.key(self._request.video_id, archive.SUPPLIED)
        self._vault.objects.put(raw_key, supplied.encode())
        language = next(iter(self._request.languages), self._metadata.language)
        return _Transcript(text, segments, language, "caller", raw_key)

    def _store(self, transcript: _Transcript) -> Content:
        video_id, objects = self._request.video_id, {"transcript": transcript.raw_key}
        objects["text"] = archive.key(video_id, archive.TEXT)
        self._vault.objects.put(objects["text"], transcript.text.encode())
        earlier = self._stored.objects if self._stored is not None else {}
        if transcript.segments is not None or "segments" in earlier:
            # The record keeps the name of every object: an outdated list of seconds is emptied.
            objects["segments"] = archive.key(video_id, archive.SEGMENTS)
            self._vault.objects.put(objects["segments"], index_json(transcript.segments or []))
        if self._metadata_key is not None:
            objects["metadata"] = self._metadata_key
        known = self._stored.title if self._stored is not None else None
        title = self._request.title or self._metadata.title or known
        return self._vault.records.put_content(
            f"yt:{video_id}",
            content_type="youtube",
            title=title or f"YouTube video {video_id}",
            author=self._metadata.author,
            url=watch_url(video_id),
            language=transcript.language,
            tags=self._metadata.tags or None,
            metadata={
                **self._metadata.details,
                "video_id": video_id,
                "transcript_source": transcript.source,
            },
            objects=objects,
            status="stored",
        )


def clean_title(title: str | None) -> str | None:
    """A caller's title on one line; ``None`` if nothing is left of it."""
    return one_line(title or "") or None


def _find(vault: Vault, resource_key: str) -> Content | None:
    try:
        return vault.records.get_content(content_id(resource_key))
    except ContentNotFound:
        return None
