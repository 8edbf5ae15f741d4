"""Where units are counted: what a store takes and answers, and what a day is.

Implementations: :mod:`menos_bus.quota.sqlite` (one machine), :mod:`menos_bus.quota.redis` (a
fleet). A unit counts from the moment it is reserved, so that nothing is ever overspent by a process
that dies; giving it back is the exception, and possible only while its lease is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from menos_bus.errors import BusError

LEASE_SECONDS: Final = 600.0
"""How long a reservation may be given back; after that it counts as spent, come what may."""


class StoreDown(BusError):
    """The store does not answer: nobody knows what is left, so nothing may be spent."""

    code = "quota_unavailable"


@dataclass(frozen=True)
class Day:
    """A quota's day: from midnight to midnight in its zone, of 23, 24 or 25 hours.

    Attributes:
        date: the date in the zone, ISO 8601.
        start: seconds since the epoch.
        end: when the next day starts, and so the quota resets; seconds since the epoch.
    """

    date: str
    start: float
    end: float

    @classmethod
    def at(cls, moment: float, zone: str) -> Day:
        """The day that a moment (seconds since the epoch) is in."""
        place = ZoneInfo(zone)
        today = datetime.fromtimestamp(moment, place).date()
        # From the calendar, never by adding 24 hours: clocks change.
        return cls(today.isoformat(), _midnight(today, place), _midnight(today + _ONE, place))

    @property
    def resets_at(self) -> datetime:
        """The end as a time in UTC."""
        return datetime.fromtimestamp(self.end, UTC)


_ONE: Final = timedelta(days=1)


def _midnight(day: date, place: ZoneInfo) -> float:
    return datetime.combine(day, time(), place).timestamp()


@dataclass(frozen=True)
class Lease:
    """Units that were reserved.

    Attributes:
        id: given by whoever asks; the same id is the same reservation.
        bucket: the quota's name.
        day: the day that they count on.
        units: how many.
    """

    id: str
    bucket: str
    day: Day
    units: int


KEPT_TURN_SECONDS: Final = 600.0
"""How long after its time a turn is kept for whoever has booked it."""


@dataclass(frozen=True)
class Pace:
    """How fast a quota may be used.

    Attributes:
        interval: seconds between two uses on average.
        burst: uses that may come at once after a pause.
        patience: the longest time in seconds that the asker would wait for its turn in place.
        booking: who asks. Whoever would have to wait longer finds its turn kept under this name
            when it comes again, so that many who wait do not all come for one turn.
    """

    interval: float
    burst: int
    patience: float
    booking: str


class Verdict(Enum):
    """What a store said to a reservation."""

    GRANTED = "granted"
    """Reserved; to be used after ``wait`` seconds."""
    EXHAUSTED = "exhausted"
    """There are not enough units left for this asker."""
    CLOSED = "closed"
    """The service itself said that the quota is spent."""
    TOO_FAST = "too_fast"
    """Nothing was reserved: the turn comes after ``wait`` seconds, and is kept for the asker."""
    OTHER_DAY = "other_day"
    """Nothing was reserved: by the store's clock it is another day, at the moment ``now``."""


@dataclass(frozen=True)
class Answer:
    """A verdict with what belongs to it.

    Attributes:
        verdict: what was decided.
        used: units used of the day, this reservation included if it was granted.
        wait: seconds until the turn of this use.
        now: the store's clock, seconds since the epoch.
    """

    verdict: Verdict
    used: int
    wait: float
    now: float


@dataclass(frozen=True)
class Usage:
    """What was used of a quota on a day.

    Attributes:
        used: units that were reserved and not given back.
        closed: what the service said when it closed the quota; ``None`` if it did not.
    """

    used: int = 0
    closed: str | None = None


class QuotaStore(Protocol):
    """Counts units. Each method is atomic among all threads and processes that use the store.

    Every method may raise :class:`StoreDown`.
    """

    def now(self) -> float:
        """The store's clock: seconds since the epoch."""

    def reserve(self, lease: Lease, allowed: int | None, pace: Pace | None) -> Answer:
        """Count a lease's units as used, if what is used then is at most ``allowed``.

        A lease that was reserved before, and not given back, is granted again without being
        counted again. With a ``pace`` the use also takes its turn.
        """

    def commit(self, lease: Lease) -> bool:
        """Note that the units are spent for good. Whether this was the first word about it."""

    def refund(self, lease: Lease) -> bool:
        """Give the units back. Whether it was done: not twice, not after a commit or expiry."""

    def close(self, bucket: str, day: Day, reason: str) -> None:
        """Grant nothing more of this day."""

    def reopen(self, bucket: str, day: Day) -> None:
        """Take back :meth:`close`."""

    def usage(self, bucket: str, day: Day) -> Usage:
        """What was used of a day."""
