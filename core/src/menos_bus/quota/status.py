"""How a quota is now, for people and programs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from menos_bus.quota.quota import Quota
from menos_bus.quota.store import Day, Usage

_EARLY: Final = 60.0
"""Seconds of a day after which there is a pace to speak of."""


@dataclass(frozen=True)
class Status:
    """How a quota is on its present day.

    Attributes:
        quota: the quota.
        day: the present day in its zone.
        used: units used so far.
        closed: what the service said when it refused for the rest of the day, if it did.
        now: seconds since the epoch.
    """

    quota: Quota
    day: Day
    used: int
    closed: str | None
    now: float

    @classmethod
    def of(cls, quota: Quota, day: Day, usage: Usage, now: float) -> Status:
        """What a store knows, as a status."""
        return cls(quota, day, usage.used, usage.closed, now)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Status:
        """What :meth:`as_json` told just now, in another process of this machine."""
        quota = Quota(
            told["name"],
            limit=told["limit"],
            reserve=told["priority_reserved"],
            zone=told["zone"],
            rate=told["rate"],
            policy=told["policy"],
        )
        now = time.time()
        return cls(quota, Day.at(now, quota.zone), told["units_used"], told["closed"], now)

    @property
    def remaining(self) -> int | None:
        """Units left, for calls with priority; ``None`` without a limit."""
        if self.quota.limit is None:
            return None
        return 0 if self.closed is not None else max(0, self.quota.limit - self.used)

    @property
    def remaining_without_priority(self) -> int | None:
        """Units left for calls without priority; ``None`` without a limit."""
        return None if self.remaining is None else max(0, self.remaining - self.quota.reserve)

    @property
    def percentage(self) -> float | None:
        """Units used in percent of the limit; ``None`` without one."""
        if self.quota.limit is None:
            return None
        return round(100 * self.used / self.quota.limit, 1) if self.quota.limit else 100.0

    @property
    def lasts_until(self) -> datetime | None:
        """When calls without priority run out at the average pace of today.

        ``None`` if they do not before the reset, or if nothing can be said yet.
        """
        left = self.remaining_without_priority
        if left is None:
            return None
        if left == 0:
            return datetime.fromtimestamp(self.now, UTC)
        elapsed = self.now - self.day.start
        if self.used == 0 or elapsed < _EARLY:
            return None
        moment = self.now + left * elapsed / self.used
        return datetime.fromtimestamp(moment, UTC) if moment < self.day.end else None

    def as_json(self) -> dict[str, Any]:
        """What ``menos-bus quota --json`` and the HTTP API show."""
        lasts = self.lasts_until
        return {
            "name": self.quota.name,
            "date": self.day.date,
            "limit": self.quota.limit,
            "units_used": self.used,
            "units_remaining": self.remaining,
            "priority_reserved": self.quota.reserve,
            "percentage_used": self.percentage,
            "resets_at": self.day.resets_at.isoformat(),
            "lasts_until": None if lasts is None else lasts.isoformat(timespec="seconds"),
            "closed": self.closed,
            "policy": self.quota.policy,
            "zone": self.quota.zone,
            "rate": self.quota.rate,
        }
