"""A video's record in the vault, and the objects that belong to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from menos_bus import Permanent
from menos_vault import Content, ContentNotFound, Vault, content_id
from menos_vault.records.calls import stored_before
from menos_vault.records.fields import before_new_text
from menos_youtube import archive
from menos_youtube.archive import Archive
from menos_youtube.lookup import Lookup
from menos_youtube.segments import index_json
from menos_youtube.sources import Transcript
from menos_youtube.sources.supplied import SOURCE as CALLER
from menos_youtube.video_id import watch_url

if TYPE_CHECKING:
    from menos_vault.records import ContentFields

STORED: Final = "stored"
"""The status of a video whose transcript is there, and not yet processed."""
NO_TRANSCRIPT: Final = "no_transcript"
"""The status of a video of which only metadata can be had."""
_ROLES: Final = ("transcript", "text", "segments", "metadata")


class Record:
    """What the vault has of one video.

    Attributes:
        stored: the record, ``None`` if there is none yet.
    """

    def __init__(self, vault: Vault, video_id: str, stored: Archive, call: str | None) -> None:
        """Look the video up, for a call of this name."""
        self._records = vault.records
        self._video_id = video_id
        self._resource_key = f"yt:{video_id}"
        self._archive = stored
        self._call = call
        self.stored = self._find()

    @property
    def has_transcript(self) -> bool:
        """Whether a transcript was stored once."""
        return self.stored is not None and "text" in self.stored.objects

    def check_own(self) -> None:
        """See that what is stored under the video's key is what this plugin stored.

        Raises:
            Permanent: it has a text from elsewhere (``resource_key_taken``).
        """
        key = self._archive.key(archive.TEXT)
        if self.stored is not None and self.stored.objects.get("text", key) != key:
            raise Permanent(
                f"resource_key {self._resource_key!r} is a {self.stored.content_type!r} content "
                f"that another plugin stored: delete content {self.stored.id} to have the video "
                "there",
                code="resource_key_taken",
            )

    def by_this_call(self) -> Content | None:
        """What this call has stored before, with all its objects, if it runs again.

        Raises:
            Permanent: it was deleted since (``content_not_found``).
        """
        identity = content_id(self._resource_key)
        stored = {} if self.stored is None else {identity: self.stored}
        before = stored_before(self._records, {identity: self._call}, stored)
        if before and self.stored is None:
            raise Permanent(
                f"video {self._video_id} was deleted after this call had stored it: make another "
                "call to store it again",
                code=ContentNotFound.code,
            )
        whole = self.has_transcript and not self.lost()
        return self.stored if before and whole else None

    def lost(self) -> set[str]:
        """The roles of the objects that the record names and that are not there."""
        if self.stored is None:
            return set()
        keys = {role: self.stored.objects[role] for role in _ROLES if role in self.stored.objects}
        lost: set[str] = {role for role, key in keys.items() if not self._archive.has(key)}
        if self.stored.metadata.get("transcript_source") == CALLER and "text" not in lost:
            lost.discard("transcript")  # only the caller has it
        return lost

    def rename(self, title: str | None) -> Content:
        """Change nothing but the title, if one is given."""
        assert self.stored is not None
        if title and title != self.stored.title:
            return self._records.update_content(self.stored.id, title=title, stored_by=self._call)
        return self.stored

    def write(self, title: str, lookup: Lookup, transcript: Transcript | None) -> Content:
        """Store what was found; repeatable at any point.

        Args:
            title: the title.
            lookup: the metadata that was learnt.
            transcript: the transcript; ``None`` to keep the one that is stored.
        """
        objects: dict[str, str] = {}
        status = None
        if transcript is not None:
            status = self._mark_changed(transcript)
            objects = self._put_objects(transcript)
        return self._put(title, lookup, transcript, objects, status)

    def write_without_transcript(self, title: str, lookup: Lookup, error: str) -> Content:
        """Store the metadata of a video that has no transcript, and why it has none."""
        return self._put(title, lookup, None, {}, NO_TRANSCRIPT, error)

    def _mark_changed(self, transcript: Transcript) -> str | None:
        """The status that a transcript brings about; ``None`` to keep what is there."""
        if self.stored is None:
            return STORED
        text = self._archive.get(self._archive.key(archive.TEXT))
        # A lost text that is made again from the answer it was made from is the same.
        lost = text is None and not self._archive.is_new(transcript.raw_key)
        if self.has_transcript and (lost or text == transcript.text.encode()):
            return None
        self._records.update_content(self.stored.id, **before_new_text(self.stored, STORED))
        return STORED

    def _put_objects(self, transcript: Transcript) -> dict[str, str]:
        objects = {"transcript": transcript.raw_key}
        objects["text"] = self._archive.put(archive.TEXT, transcript.text.encode())
        had_segments = self.stored is not None and "segments" in self.stored.objects
        if transcript.segments is not None or had_segments:
            # The record keeps the name of every object: an outdated list of seconds is emptied.
            index = index_json(transcript.segments or [])
            objects["segments"] = self._archive.put(archive.SEGMENTS, index)
        return objects

    def _put(
        self,
        title: str,
        lookup: Lookup,
        transcript: Transcript | None,
        objects: dict[str, str],
        status: str | None,
        error: str | None = None,
    ) -> Content:
        known = lookup.metadata
        metadata = {**known.details, "video_id": self._video_id}
        language = known.language if not self.has_transcript else None
        if transcript is not None:
            metadata["transcript_source"] = transcript.source
            language = transcript.language or known.language
        if lookup.key is not None:
            objects = {**objects, "metadata": lookup.key}
        fields: ContentFields = {
            "author": known.author,
            "url": watch_url(self._video_id),
            "language": language,
            "tags": known.tags or None,
            "metadata": metadata,
            "objects": objects,
            "status": status,
            "error": error,
            "stored_by": self._call,
        }
        if self.stored is None:
            self.stored = self._records.put_content(
                self._resource_key, content_type="youtube", title=title, **fields
            )
        else:
            # An update, since what was deleted meanwhile is not to come back.
            found = {name: value for name, value in fields.items() if value is not None}
            self.stored = self._records.update_content(
                self.stored.id, content_type="youtube", title=title, **cast("ContentFields", found)
            )
        return self.stored

    def _find(self) -> Content | None:
        try:
            return self._records.get_content(content_id(self._resource_key))
        except ContentNotFound:
            return None
