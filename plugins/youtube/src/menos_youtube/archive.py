"""Where the objects of a video are kept: raw answers first, then what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from menos_vault import ObjectNotFound

if TYPE_CHECKING:
    from menos_vault.objects import Objects

DATA_API: Final = "data-api.json"
OEMBED: Final = "oembed.json"
WATCH: Final = "watch.html.gz"
PLAYER: Final = "player.json"
CAPTIONS: Final = "captions.xml"
YT_DLP_WATCH: Final = "yt-dlp-watch.html.gz"
YT_DLP_PLAYER: Final = "yt-dlp-player.json"
YT_DLP_CAPTIONS: Final = "yt-dlp-captions.json3"
SUPPLIED: Final = "supplied.txt"
TEXT: Final = "text.txt"
SEGMENTS: Final = "segments.json"


def key(video_id: str, name: str) -> str:
    """The object key of one of the names above."""
    return f"youtube/{video_id}/{name}"


class Archive:
    """The objects of one video, as one run sees them."""

    def __init__(self, objects: Objects, video_id: str, *, refresh: bool = False) -> None:
        """With ``refresh``, only what this run has stored is there to be read."""
        self._objects = objects
        self._video_id = video_id
        self._refresh = refresh
        self._stored: set[str] = set()

    def key(self, name: str) -> str:
        """The object key of one of this video's names."""
        return key(self._video_id, name)

    def put(self, name: str, data: bytes) -> str:
        """Store an object, and return its key."""
        key = self.key(name)
        self._objects.put(key, data)
        self._stored.add(key)
        return key

    def is_whole(self) -> bool:
        """Whether all that this run has stored is still there."""
        return all(map(self.has, self._stored))

    def discard(self) -> None:
        """Delete what this run has stored."""
        for key in self._stored:
            self._objects.delete(key)

    def read(self, name: str) -> bytes | None:
        """What is stored under a name, if it is there and not to be fetched again."""
        key = self.key(name)
        if self._refresh and key not in self._stored:
            return None
        return self.get(key)

    def has(self, key: str) -> bool:
        """Whether something is stored under a key."""
        return self._objects.exists(key)

    def is_new(self, key: str) -> bool:
        """Whether this run has stored it."""
        return key in self._stored

    def get(self, key: str) -> bytes | None:
        """What is stored under a key, from whenever it is."""
        try:
            return self._objects.get(key)
        except ObjectNotFound:
            return None
