"""What is known of a video, from the answers that are archived and those that must be asked for."""

from __future__ import annotations

from collections.abc import Callable

from menos_youtube import archive
from menos_youtube.archive import Archive
from menos_youtube.errors import named
from menos_youtube.foreign import object_in
from menos_youtube.metadata import Metadata, from_data_api, from_oembed, from_player
from menos_youtube.settings import YoutubeSettings


class Lookup:
    """Collects a video's metadata.

    Attributes:
        metadata: what is known so far.
        key: the object key of the fullest answer that it is from.
    """

    def __init__(self, video_id: str, stored: Archive, settings: YoutubeSettings) -> None:
        """Nothing is asked yet."""
        self.metadata = Metadata()
        self.key: str | None = None
        self._video_id = video_id
        self._archive = stored
        self._settings = settings

    def ask_data_api(self, *, may_be_unknown: bool = False) -> None:
        """Learn from the Data API, if there is a key for it.

        Args:
            may_be_unknown: whether the ingest can go on without metadata, so that a private video,
                which the Data API does not know, is no error.

        Raises:
            TaskError: it cannot answer, or does not know the video.
        """
        if self._settings.api_key is None:
            return
        self._learn(archive.DATA_API, from_data_api, self._ask_data_api)
        if self.metadata == Metadata() and not may_be_unknown:
            answer = self._archive.read(archive.DATA_API) or b""
            if object_in(answer) is None:
                raise named("ValueError", "no JSON object")
            raise named("VideoUnavailable")  # it answers 200 without items

    def read_players(self) -> None:
        """Learn from what the player answered to those who looked for a transcript."""
        for name in (archive.PLAYER, archive.YT_DLP_PLAYER):
            self._learn(name, from_player)

    def ask_oembed(self) -> None:
        """Learn from oEmbed, which needs no key; nothing happens if it has no answer."""
        self._learn(archive.OEMBED, from_oembed, self._ask_oembed)

    def _learn(
        self,
        name: str,
        read: Callable[[bytes], Metadata],
        ask: Callable[[], bytes | None] | None = None,
    ) -> None:
        raw = self._archive.read(name)
        # A live stream ends: what was said of it while it ran is out of date. And what says nothing
        # was of a video that was private, or of a YouTube that was ill.
        outdated = raw is None or read(raw).live is not None or read(raw) == Metadata()
        if ask is not None and outdated and (answer := ask()) is not None:
            raw = answer
            self._archive.put(name, raw)
        found = read(raw) if raw is not None else Metadata()
        if found != Metadata():
            self.metadata = self.metadata.completed_by(found)
            self.key = self.key or self._archive.key(name)

    def _ask_data_api(self) -> bytes:
        from menos_youtube.data_api import fetch_videos

        return fetch_videos([self._video_id], self._settings)

    def _ask_oembed(self) -> bytes | None:
        from menos_youtube.oembed import fetch_oembed

        return fetch_oembed(self._video_id, self._settings)
