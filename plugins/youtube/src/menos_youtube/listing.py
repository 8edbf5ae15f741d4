"""How a list of videos is found, and which of them are to be ingested."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from menos_bus import Permanent
from menos_vault import Content, ContentNotFound, ObjectNotFound, Vault, content_id
from menos_vault.records.fields import moment_of
from menos_youtube import archive
from menos_youtube.channel_name import ChannelName
from menos_youtube.collection import Collection, State, Video
from menos_youtube.data_api import (
    PAGE,
    fetch_channel,
    fetch_playlist_page,
    fetch_videos,
    search_channel,
)
from menos_youtube.foreign import objects_of, part_of, text_of
from menos_youtube.list_archive import ListArchive
from menos_youtube.metadata import Metadata, from_data_api
from menos_youtube.record import NO_TRANSCRIPT
from menos_youtube.settings import YoutubeSettings
from menos_youtube.video_id import is_video_id

_LONGEST_TITLE: Final = 500
_SOONEST, _LATEST = timedelta(hours=6), timedelta(days=30)
"""After this a video that had no transcript is looked at again."""


class Listing:
    """Finds out what one call is to ingest.

    Args:
        call_id: the call's task id.
        vault: keeps the answers, and knows which videos are stored.
        settings: has the key.
    """

    def __init__(self, call_id: str, vault: Vault, settings: YoutubeSettings) -> None:
        self._archive = ListArchive(call_id, vault)
        self._vault = vault
        self._settings = settings

    def playlist(self, playlist_id: str, limit: int) -> Collection:
        """List the first ``limit`` videos of a playlist.

        Raises:
            Deferred: there is more to list, and it is put back for a moment.
            TaskError: see :mod:`menos_youtube.data_api`.
        """
        return self._archive.collection(
            lambda: self._find(playlist_id, playlist_id, None, limit, None)
        )

    def channel(self, name: ChannelName, limit: int, since: datetime | None) -> Collection:
        """List the newest ``limit`` uploads of a channel, none older than ``since``.

        Raises:
            Deferred: there is more to list, and it is put back for a moment.
            TaskError: ``channel_not_found``, and see :mod:`menos_youtube.data_api`.
        """

        def find() -> Collection:
            found = self._find_channel(name)
            own_id, title = text_of(found, "id"), text_of(part_of(found, "snippet"), "title")
            lists = part_of(part_of(found, "contentDetails"), "relatedPlaylists")
            uploads = text_of(lists, "uploads")
            if not (own_id and uploads):
                raise Permanent("the channel has no list of uploads", code="channel_not_found")
            return self._find(own_id, uploads, title, limit, since)

        return self._archive.collection(find)

    def _find(
        self, own_id: str, playlist_id: str, title: str | None, limit: int, since: datetime | None
    ) -> Collection:
        found: dict[str, Video] = {}
        total: int | None = None
        more = False
        for page in self._pages(playlist_id):
            counted = part_of(page, "pageInfo").get("totalResults")
            total = counted if type(counted) is int else total
            items = [item for item in objects_of(page, "items") if is_video_id(_id_of(item))]
            recent = [item for item in items if since is None or _published(item) >= since]
            for item in recent:
                shown = (text_of(part_of(item, "snippet"), "title") or "")[:_LONGEST_TITLE]
                state: State = "unavailable" if _is_hidden(item) else "wanted"
                found.setdefault(_id_of(item), Video(_id_of(item), shown, state))
            self._archive.progress(
                "listing", min(len(found), limit), limit if total is None else total
            )
            # Uploads come newest first, though one may be out of its place: a page without any
            # that is recent is the end.
            ends = bool(items) and not recent
            goes_on = len(recent) == len(items) and bool(text_of(page, "nextPageToken"))
            more = len(found) > limit or goes_on
            if len(found) >= limit or ends:
                break
        videos = [self._with_state(video) for video in list(found.values())[:limit]]
        return Collection(own_id, title, total, more, self._with_metadata(videos))

    def _pages(self, playlist_id: str) -> Iterator[dict[str, Any]]:
        token: str | None = None
        number, seen = 1, {""}
        # Each page names the next one; one that was seen would go round for ever.
        while number == 1 or (token and token not in seen):
            seen.add(token or "")
            page = self._archive.answer(
                f"page-{number:04}.json",
                lambda: fetch_playlist_page(playlist_id, token, self._settings),  # noqa: B023
            )
            yield page
            token, number = text_of(page, "nextPageToken"), number + 1

    def _with_state(self, video: Video) -> Video:
        """Add what the vault knows of it."""
        try:
            content = self._vault.records.get_content(content_id(f"yt:{video.id}"))
        except ContentNotFound:
            return video
        text = content.objects.get("text")
        if text is not None and self._vault.objects.exists(text):
            return replace(video, state="stored")
        if content.status == NO_TRANSCRIPT and not _is_due(content):
            return replace(video, state="no_transcript")
        return video

    def _with_metadata(self, videos: Sequence[Video]) -> list[Video]:
        """Archive the metadata of the wanted ones, 50 at a unit, so their ingests ask no more."""
        wanted = [video.id for video in videos if video.state == "wanted"]
        # Once for the call: where it goes on, it asks the same questions, and knows their answers.
        unknown = self._archive.once(
            "unknown.json", lambda: [each for each in wanted if not self._knows(each)]
        )
        missing: set[str] = set()
        for start in range(0, len(unknown), PAGE):
            asked = unknown[start : start + PAGE]
            self._archive.progress("metadata", start, len(unknown))
            answer = self._archive.answer(
                f"videos-{start // PAGE + 1:04}.json",
                lambda: fetch_videos(asked, self._settings),  # noqa: B023
            )
            items = {text_of(item, "id"): item for item in objects_of(answer, "items")}
            for each in asked:
                if each in items and not self._knows(each):
                    one = json.dumps({"items": [items[each]]})
                    self._vault.objects.put(_metadata_key(each), one.encode())
            missing.update(each for each in asked if each not in items)
        return [replace(v, state="unavailable") if v.id in missing else v for v in videos]

    def _knows(self, video_id: str) -> bool:
        try:
            known = self._vault.objects.get(_metadata_key(video_id))
        except ObjectNotFound:
            return False
        return from_data_api(known) != Metadata()

    def _find_channel(self, name: ChannelName) -> dict[str, Any]:
        answer = self._archive.answer("channel.json", lambda: fetch_channel(name, self._settings))
        if items := objects_of(answer, "items"):
            return items[0]
        if name.kind == "custom" and (found := self._search_channel(name)):
            return found
        raise Permanent(
            f"url: YouTube knows no channel {name.value!r}; its id (UC…) or its @handle is surest",
            code="channel_not_found",
        )

    def _search_channel(self, name: ChannelName) -> dict[str, Any] | None:
        """Look for a custom name that is no handle; only the very channel of that name counts."""
        found = self._archive.answer(
            "search.json", lambda: search_channel(name.value, self._settings)
        )
        for number, item in enumerate(objects_of(found, "items")):
            by_id = ChannelName("id", text_of(part_of(item, "id"), "channelId") or "")
            answer = self._archive.answer(
                f"channel-{number}.json",
                lambda: fetch_channel(by_id, self._settings),  # noqa: B023
            )
            for channel in objects_of(answer, "items"):
                custom = text_of(part_of(channel, "snippet"), "customUrl") or ""
                if custom.removeprefix("@").removeprefix("c/").lower() == name.value.lower():
                    return channel
        return None


def _id_of(item: dict[str, Any]) -> str:
    return text_of(part_of(part_of(item, "snippet"), "resourceId"), "videoId") or ""


def _is_hidden(item: dict[str, Any]) -> bool:
    """Whether the list shows of a video only that it is there: YouTube leaves its date out then."""
    return "contentDetails" in item and "videoPublishedAt" not in part_of(item, "contentDetails")


def _published(item: dict[str, Any]) -> datetime:
    """When a video was published; one without a date is no news."""
    try:
        return moment_of(text_of(part_of(item, "contentDetails"), "videoPublishedAt") or "")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _is_due(content: Content) -> bool:
    """Whether to look again for a transcript: after as long as the video was old at the last look.

    Captions that YouTube generates come within hours or never.
    """
    looked = content.updated_at
    age = looked - content.published_at if content.published_at is not None else _LATEST
    return datetime.now(UTC) >= looked + min(max(age, _SOONEST), _LATEST)


def _metadata_key(video_id: str) -> str:
    return archive.key(video_id, archive.DATA_API)
