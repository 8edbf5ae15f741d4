"""What the methods of the YouTube Data API cost, and from which bucket they are paid."""

from __future__ import annotations

from typing import Final, NamedTuple

VERSION: Final = "2026-06-03"
"""The day from which these figures hold: YouTube's revision history of that date.

Source: https://developers.google.com/youtube/v3/determine_quota_cost. Since 2026-06-01
``search.list`` and ``videos.insert`` have buckets of their own, since 2026-06-03
``videos.batchGetStats``. Every request costs at least 1, an invalid one too, and each page is a
request.
"""


class Bucket(NamedTuple):
    """A bucket of units, as a new project at Google gets it.

    Attributes:
        name: the quota's name.
        limit: units a day.
    """

    name: str
    limit: int


GENERAL: Final = Bucket("youtube", 10_000)
SEARCH: Final = Bucket("youtube.search", 100)
INSERT: Final = Bucket("youtube.insert", 100)
STATS: Final = Bucket("youtube.stats", 10_000)


class Cost(NamedTuple):
    """What one request costs.

    Attributes:
        bucket: what it is paid from.
        units: how many.
    """

    bucket: Bucket
    units: int


COSTS: Final[dict[str, Cost]] = {
    "captions.download": Cost(GENERAL, 200),
    "captions.list": Cost(GENERAL, 50),
    "channels.list": Cost(GENERAL, 1),
    "playlistItems.list": Cost(GENERAL, 1),
    "playlists.list": Cost(GENERAL, 1),
    "search.list": Cost(SEARCH, 1),
    "videos.batchGetStats": Cost(STATS, 1),
    "videos.insert": Cost(INSERT, 1),
    "videos.list": Cost(GENERAL, 1),
}
"""Method → cost, of the methods that deal with videos and lists of them."""
