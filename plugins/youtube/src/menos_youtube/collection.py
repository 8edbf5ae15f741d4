"""What a playlist or a channel has: listed once per call, then ingested video by video.

A list is found in steps that cost quota, and the call may have to wait between two of them, or die.
So each answer is archived under the call's id before it is read, and never asked for again by that
call; and the finished list is kept, so that each look at the videos under way sees the same one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import httpx

from menos_bus import Permanent, progress
from menos_vault import ContentNotFound, Vault, content_id
from menos_youtube import archive
from menos_youtube.channel_name import ChannelName
from menos_youtube.data_api import (
    PAGE,
    fetch_channel,
    fetch_playlist_page,
    fetch_videos,
    search_channel,
)
from menos_youtube.settings import YoutubeSettings
from menos_youtube.video_id import is_video_id

State = Literal["wanted", "stored", "unavailable"]

_LONGEST_TITLE: Final = 500


@dataclass(frozen=True)
class Video:
    """A video of a list.

    Attributes:
        id: its id.
        title: as the list has it.
        state: ``wanted`` (to be ingested), ``stored`` (the vault has it) or ``unavailable``
            (private or removed).
    """

    id: str
    title: str
    state: State = "wanted"


@dataclass(frozen=True)
class Collection:
    """A playlist, or a channel's uploads, as they were when the call first looked.

    Attributes:
        id: of the playlist or the channel.
        title: of a channel; a playlist's would cost a unit.
        total: videos that YouTube says it has.
        videos: those that were asked for, in its order, none twice.
    """

    id: str
    title: str | None
    total: int | None
    videos: list[Video]


class Listing:
    """Finds out what one call is to ingest.

    Args:
        call_id: the call's task id.
        vault: keeps the answers, and knows which videos are stored.
        settings: has the key.
    """

    def __init__(self, call_id: str, vault: Vault, settings: YoutubeSettings) -> None:
        self._call_id = call_id
        self._vault = vault
        self._settings = settings

    def playlist(self, playlist_id: str, limit: int) -> Collection:
        """List the first ``limit`` videos of a playlist.

        Raises:
            TaskError: see :mod:`menos_youtube.data_api`.
        """
        return self._kept(lambda: self._find(playlist_id, playlist_id, None, limit, None))

    def channel(self, name: ChannelName, limit: int, since: datetime | None) -> Collection:
        """List the newest ``limit`` uploads of a channel, none older than ``since``.

        Raises:
            TaskError: ``channel_not_found``, and see :mod:`menos_youtube.data_api`.
        """

        def find() -> Collection:
            found = self._find_channel(name)
            snippet = found.get("snippet", {})
            uploads = found.get("contentDetails", {}).get("relatedPlaylists", {}).get("uploads")
            if not uploads:
                raise Permanent("the channel has no list of uploads", code="channel_not_found")
            return self._find(found["id"], uploads, snippet.get("title"), limit, since)

        return self._kept(find)

    def _kept(self, find: Callable[[], Collection]) -> Collection:
        key = self._key("collection.json")
        if self._vault.objects.exists(key):
            kept = json.loads(self._vault.objects.get(key))
            return Collection(**kept | {"videos": [Video(**video) for video in kept["videos"]]})
        collection = find()
        self._vault.objects.put(key, json.dumps(asdict(collection)).encode())
        return collection

    def _find(
        self, own_id: str, playlist_id: str, title: str | None, limit: int, since: datetime | None
    ) -> Collection:
        found: dict[str, Video] = {}
        total = None
        for page in self._pages(playlist_id):
            total = page.get("pageInfo", {}).get("totalResults", total)
            items = [item for item in page.get("items", []) if is_video_id(_id_of(item))]
            recent = [item for item in items if since is None or _published(item) >= since]
            for item in recent:
                shown = str(item.get("snippet", {}).get("title", ""))[:_LONGEST_TITLE]
                found.setdefault(_id_of(item), Video(_id_of(item), shown))
            progress("listing", min(len(found), limit), limit if total is None else total)
            # Uploads come newest first, though one may be out of its place: a page without any
            # that is recent is the end.
            if len(found) >= limit or (items and not recent):
                break
        videos = [
            replace(video, state="stored" if self._is_stored(video.id) else "wanted")
            for video in list(found.values())[:limit]
        ]
        return Collection(own_id, title, total, self._with_metadata(videos))

    def _pages(self, playlist_id: str) -> Iterator[dict[str, Any]]:
        token: str | None = None
        number, seen = 1, {""}
        # Each page names the next one; one that was seen would go round for ever.
        while number == 1 or (token and token not in seen):
            seen.add(token or "")
            page = self._answer(
                f"page-{number:04}.json",
                lambda: fetch_playlist_page(playlist_id, token, self._settings),  # noqa: B023
            )
            yield page
            token, number = page.get("nextPageToken"), number + 1

    def _with_metadata(self, videos: Sequence[Video]) -> list[Video]:
        """Archive the metadata of the wanted ones, 50 at a unit, so their ingests ask no more."""
        wanted = [video.id for video in videos if video.state == "wanted"]
        unknown = [each for each in wanted if not self._vault.objects.exists(_metadata_key(each))]
        missing: set[str] = set()
        for start in range(0, len(unknown), PAGE):
            asked = unknown[start : start + PAGE]
            progress("metadata", start, len(unknown))
            answer = self._answer(
                f"videos-{asked[0]}-{len(asked)}.json",
                lambda: fetch_videos(asked, self._settings),  # noqa: B023
            )
            items = {item["id"]: item for item in answer.get("items", []) if "id" in item}
            for each in asked:
                if each in items:
                    one = json.dumps({"items": [items[each]]}, ensure_ascii=False)
                    self._vault.objects.put(_metadata_key(each), one.encode())
            missing.update(each for each in asked if each not in items)
        return [replace(v, state="unavailable") if v.id in missing else v for v in videos]

    def _find_channel(self, name: ChannelName) -> dict[str, Any]:
        answer = self._answer("channel.json", lambda: fetch_channel(name, self._settings))
        if items := answer.get("items"):
            found: dict[str, Any] = items[0]
            return found
        if name.kind == "custom" and (found_by_words := self._search_channel(name)):
            return found_by_words
        raise Permanent(
            f"url: YouTube knows no channel {name.value!r}; its id (UC…) or its @handle is surest",
            code="channel_not_found",
        )

    def _search_channel(self, name: ChannelName) -> dict[str, Any] | None:
        """Look for a custom name that is no handle; only the very channel of that name counts."""
        found = self._answer("search.json", lambda: search_channel(name.value, self._settings))
        for number, item in enumerate(found.get("items", [])):
            by_id = ChannelName("id", str(item.get("id", {}).get("channelId")))
            answer = self._answer(
                f"channel-{number}.json",
                lambda: fetch_channel(by_id, self._settings),  # noqa: B023
            )
            for channel in answer.get("items", []):
                custom = str(channel.get("snippet", {}).get("customUrl", ""))
                if custom.removeprefix("@").removeprefix("c/").lower() == name.value.lower():
                    return dict(channel)
        return None

    def _answer(self, name: str, ask: Callable[[], httpx.Response]) -> dict[str, Any]:
        """An answer of this call, asked for once and archived as it came."""
        key = self._key(name)
        if self._vault.objects.exists(key):
            raw = self._vault.objects.get(key)
        else:
            raw = ask().content
            self._vault.objects.put(key, raw)
        answer: dict[str, Any] = json.loads(raw)
        return answer

    def _key(self, name: str) -> str:
        return f"youtube/lists/{self._call_id}/{name}"

    def _is_stored(self, video_id: str) -> bool:
        try:
            content = self._vault.records.get_content(content_id(f"yt:{video_id}"))
        except ContentNotFound:
            return False
        text = content.objects.get("text")
        return text is not None and self._vault.objects.exists(text)


def _id_of(item: dict[str, Any]) -> str:
    return str(item.get("snippet", {}).get("resourceId", {}).get("videoId", ""))


def _published(item: dict[str, Any]) -> datetime:
    """When a video was published; one that is private or removed has no date and is no news."""
    try:
        return datetime.fromisoformat(item["contentDetails"]["videoPublishedAt"])
    except (KeyError, TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _metadata_key(video_id: str) -> str:
    return archive.key(video_id, archive.DATA_API)
