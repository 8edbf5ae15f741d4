"""How a video gets into the vault: metadata, transcript, archive, record.

Every step can be repeated: ids and object keys follow from the video's id, and what was archived
is not fetched again unless the caller asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass

from menos_bus import Permanent, extensions, progress, task_id
from menos_bus.errors import TaskError
from menos_vault import Content, ContentNotFound, Vault
from menos_vault.records.calls import call_of, digest_of
from menos_youtube import archive
from menos_youtube.archive import Archive
from menos_youtube.errors import named
from menos_youtube.lookup import Lookup
from menos_youtube.quotas import transcript_turn
from menos_youtube.record import Record
from menos_youtube.settings import YoutubeSettings
from menos_youtube.sources import POINT, Transcript, TranscriptSource, Wanted
from menos_youtube.sources.archived import read_archived
from menos_youtube.sources.order import choose, fetch_first
from menos_youtube.sources.supplied import Supplied


@dataclass(frozen=True)
class Request:
    """What a caller wants of a video.

    Attributes:
        video_id: its id.
        transcript: the caller's own transcript; plain text, SRT, WebVTT or json3.
        title: the caller's own title.
        languages: languages of captions, the preferred one first; empty for those of the settings.
        refresh: fetch again what the vault has.
    """

    video_id: str
    transcript: str | None = None
    title: str | None = None
    languages: Sequence[str] = ()
    refresh: bool = False


class Ingest:
    """One run of ``tasks.ingest_youtube``."""

    def __init__(self, request: Request, vault: Vault, settings: YoutubeSettings) -> None:
        """Look up what the vault has of the video."""
        self._request = request
        self._vault = vault
        self._is_supplied = request.transcript is not None
        self._settings = settings
        self._archive = Archive(vault.objects, request.video_id, refresh=request.refresh)
        call = call_of(task_id(), digest_of(asdict(request)))
        self._record = Record(vault, request.video_id, self._archive, call)
        self._lookup = Lookup(request.video_id, self._archive, settings)

    def run(self) -> Content:
        """Store the video, complete what is missing of it, or find that nothing is.

        Raises:
            TaskError: see :mod:`menos_youtube.errors`. Without a transcript the metadata is stored
                all the same, if there is any.
            VaultError: the vault does not take it.
        """
        self._record.check_own()
        if (stored := self._record.by_this_call()) is not None:
            return stored
        stored = self._stored()
        if not self._archive.is_whole():
            # A run whose video was deleted before this one began took these objects for its own.
            stored = Ingest(self._request, self._vault, self._settings)._stored()
        return stored

    def _stored(self) -> Content:
        """What is there after a run, if it was not deleted meanwhile."""
        try:
            return self._run()
        except ContentNotFound as error:
            self._archive.discard()
            raise Permanent(
                f"video {self._request.video_id} was deleted while it was ingested: make another "
                "call to store it again",
                code=error.code,
            ) from None

    def _run(self) -> Content:
        needed = self._needed()
        if not needed:
            return self._record.rename(self._request.title)
        # First, since a wrong setting must not cost quota.
        sources = self._sources() if "transcript" in needed else []
        if "metadata" in needed:
            progress("metadata")
            self._lookup.ask_data_api(may_be_unknown=self._is_supplied)
        transcript = None
        if "transcript" in needed:
            progress("transcript")
            try:
                transcript = self._find_transcript(sources)
            except Permanent as error:
                raise self._without_transcript(error) from error
        if "metadata" in needed:
            self._complete_metadata()
        progress("storing")
        return self._record.write(self._title(), self._lookup, transcript)

    def _needed(self) -> set[str]:
        """Which parts have to be found: ``metadata``, ``transcript``."""
        if self._request.refresh or not self._record.has_transcript:
            return {"metadata", "transcript"}
        lost = self._record.lost()
        needed = lost & {"metadata"}
        if lost - {"metadata"} or self._is_another_transcript():
            needed.add("transcript")
        return needed

    def _is_another_transcript(self) -> bool:
        stored, supplied = self._record.stored, self._request.transcript
        if supplied is None or stored is None:
            return False
        key = self._archive.key(archive.SUPPLIED)
        return (
            stored.objects.get("transcript") != key or self._archive.get(key) != supplied.encode()
        )

    def _sources(self) -> list[TranscriptSource]:
        """Who is asked for a transcript; a caller's own one is the only source of its call."""
        if self._request.transcript is not None:
            return [Supplied(self._request.transcript)]
        return choose(self._settings.sources, extensions(POINT))

    def _find_transcript(self, sources: Sequence[TranscriptSource]) -> Transcript:
        stored = self._record.stored
        languages = list(self._request.languages)
        if not self._is_supplied:
            if self._lookup.metadata.live is not None:
                raise named("LiveVideo")
            if stored is not None and self._record.has_transcript and not self._request.refresh:
                if (found := read_archived(stored, self._archive)) is not None:
                    return found
                languages += [stored.language] if stored.language else []
            languages += [] if languages else self._settings.languages
        wanted = Wanted(self._request.video_id, languages, self._settings, self._archive.put)
        with nullcontext() if self._is_supplied else transcript_turn(self._settings):
            return fetch_first(sources, wanted)

    def _without_transcript(self, error: Permanent) -> TaskError:
        """Keep what is known of a video that has no transcript, and say where."""
        says_nothing = self._is_supplied or error.code == "quota_exceeded"
        if says_nothing or self._record.has_transcript:
            return error
        self._lookup.read_players()
        if self._lookup.metadata.title is None:
            self._lookup.ask_oembed()
        if self._lookup.metadata.title is None:
            return error
        content = self._record.write_without_transcript(self._title(), self._lookup, error.message)
        return Permanent(
            f"{error.message}; its metadata is kept as content {content.id}", code=error.code
        )

    def _complete_metadata(self) -> None:
        """Add what came with the transcript, and ask who needs no key for what is missing."""
        self._lookup.read_players()
        titles = (self._request.title, self._lookup.metadata.title, self._known_title())
        lost = self._lookup.key is None and "metadata" in self._record.lost()
        if lost or not any(titles):
            self._lookup.ask_oembed()

    def _known_title(self) -> str | None:
        return self._record.stored.title if self._record.stored is not None else None

    def _title(self) -> str:
        found, known = self._lookup.metadata.title, self._known_title()
        title = (found or known) if self._request.refresh else (known or found)
        return self._request.title or title or f"YouTube video {self._request.video_id}"
