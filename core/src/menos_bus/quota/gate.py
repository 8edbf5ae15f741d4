"""The gate: what a use of a quota is told, and how the quotas are."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final, NoReturn
from uuid import uuid4

from menos_bus.errors import Deferred, Permanent, QuotaExceeded
from menos_bus.quota.quota import Quota
from menos_bus.quota.register import Quotas
from menos_bus.quota.status import Status
from menos_bus.quota.store import Answer, Day, Lease, Pace, QuotaStore, StoreDown, Verdict

logger = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 1.0
"""Seconds that a task waits in place for its turn; for a later one it leaves its worker."""
LONGEST_WAIT: Final = 3600.0
"""Seconds after which a call that waits for a reset looks again: a limit may have been raised."""
_STORE_WAIT: Final = 30.0
"""Seconds until a call asks again when the store did not answer."""
_DAWN: Final = 300.0
"""Seconds of a new day in which a service may still count the day before, by its own clock."""


class Gate:
    """Decides about each use of a quota.

    Args:
        quotas: what the plugins have declared.
        open_store: opens the store, when it is first needed.
    """

    def __init__(self, quotas: Quotas, open_store: Callable[[], QuotaStore]) -> None:
        self._quotas = quotas
        self._open_store = open_store
        self._opened: QuotaStore | None = None

    @property
    def store(self) -> QuotaStore:
        """Where units are counted."""
        if self._opened is None:
            self._opened = self._open_store()
        return self._opened

    def reserve(self, name: str, units: int, *, priority: bool, booking: str) -> Lease:
        """Reserve units, after waiting for their turn if that comes soon.

        Args:
            name: the quota.
            units: what the use costs.
            priority: whether the reserve may be used.
            booking: who asks; whoever comes too early finds its turn kept under this.

        Raises:
            QuotaExceeded, Deferred: see :meth:`menos_bus.Quota.spend`.
            Permanent: the use alone costs more than a day has (code ``quota_too_small``).
            UnknownQuota: no plugin has registered it.
        """
        try:
            return self._reserve(name, units, priority=priority, booking=booking)
        except (Deferred, QuotaExceeded) as refusal:
            # A use of another quota around this one has not happened, either.
            refusal.nothing_spent = True
            raise

    def _reserve(self, name: str, units: int, *, priority: bool, booking: str) -> Lease:
        quota = self._quotas[name]
        allowed = _allowed(quota, priority=priority)
        if allowed is not None and units > allowed:
            raise Permanent(
                f"this costs {units} units at once, but quota {name!r} has {allowed} a day for "
                "such calls: raise its limit",
                code="quota_too_small",
            )
        pace = None
        if quota.rate is not None:
            pace = Pace(1 / quota.rate, quota.burst, LONGEST_PAUSE, booking)
        lease_id = uuid4().hex
        try:
            lease, answer = self._ask(quota, units, allowed, pace, lease_id)
        except StoreDown as down:
            raise Deferred(down.message, down.code, after=_STORE_WAIT) from down
        if answer.verdict is Verdict.TOO_FAST:
            text = f"quota {name!r} allows {quota.rate:g} uses a second: its turn comes later"
            raise Deferred(text, "waiting_for_quota", after=max(1.0, answer.wait))
        if answer.verdict is not Verdict.GRANTED:
            self._refuse(quota, lease.day, answer, priority=priority)
        if answer.wait > 0:
            time.sleep(answer.wait)
        return lease

    def _ask(
        self, quota: Quota, units: int, allowed: int | None, pace: Pace | None, lease_id: str
    ) -> tuple[Lease, Answer]:
        day = Day.at(time.time(), quota.zone)
        while True:
            lease = Lease(lease_id, quota.name, day, units)
            answer = self.store.reserve(lease, allowed, pace)
            if answer.verdict is not Verdict.OTHER_DAY:
                return lease, answer
            day = Day.at(answer.now, quota.zone)

    def commit(self, lease: Lease) -> None:
        """Note that units are spent. If that cannot be noted they count as spent all the same."""
        try:
            self.store.commit(lease)
        except StoreDown as down:
            logger.warning("quota %s: a lease stays open until it expires: %s", lease.bucket, down)

    def refund(self, lease: Lease) -> None:
        """Give units back. If that cannot be noted they count as spent."""
        try:
            self.store.refund(lease)
        except StoreDown as down:
            logger.warning("quota %s: %d units are lost: %s", lease.bucket, lease.units, down)

    def close(self, lease: Lease, reason: str, *, priority: bool) -> NoReturn:
        """Grant nothing more of the day of a use, since the service itself refused that.

        Just after midnight a service may still count the day before, by a clock of its own. If that
        was spent, the new day stays open, and the call looks again in a few minutes.

        Raises:
            QuotaExceeded, Deferred: always, as :meth:`reserve` does when nothing is left.
        """
        name, day = lease.bucket, lease.day
        quota = self._quotas[name]
        try:
            now = self.store.now()
            if now >= day.end or (now < day.start + _DAWN and self._was_spent_before(quota, day)):
                text = f"the service has not begun a new day of quota {name!r} yet: {reason}"
                raise Deferred(text, "waiting_for_quota", after=_DAWN)
            self.store.close(name, day, reason)
            used = self.store.usage(name, day).used
        except StoreDown as down:
            raise Deferred(down.message, down.code, after=_STORE_WAIT) from down
        logger.warning("quota %s is closed until %s: %s", name, _utc(day), reason)
        self._refuse(quota, day, Answer(Verdict.CLOSED, used, 0.0, now), priority=priority)

    def _was_spent_before(self, quota: Quota, day: Day) -> bool:
        """Whether nothing was left, at least for calls without priority, of the day before."""
        before = Day.at(day.start - 1, quota.zone)
        status = Status.of(quota, before, self.store.usage(quota.name, before), before.end)
        return status.remaining_without_priority == 0

    def reopen(self, name: str) -> None:
        """Take back that the service refuses, for instance after a new key was set.

        Raises:
            UnknownQuota: no loaded plugin declares it.
            StoreDown: the store does not answer.
        """
        quota = self._quotas[name]
        self.store.reopen(name, Day.at(self.store.now(), quota.zone))

    def status(self, name: str) -> Status:
        """How a quota is now.

        Raises:
            UnknownQuota: no loaded plugin declares it.
            StoreDown: the store does not answer.
        """
        quota = self._quotas[name]
        now = self.store.now()
        day = Day.at(now, quota.zone)
        return Status.of(quota, day, self.store.usage(name, day), now)

    @staticmethod
    def _refuse(quota: Quota, day: Day, answer: Answer, *, priority: bool) -> NoReturn:
        if answer.verdict is Verdict.CLOSED:
            what = f"the service says that quota {quota.name!r} is spent"
        else:
            kept = f", {quota.reserve} are kept for priority calls" if quota.reserve else ""
            what = f"quota {quota.name!r} has no units left for this call ({answer.used} of "
            what += f"{quota.limit} are used{kept})"
        resets = f"it resets at {_utc(day)}"
        if not priority and quota.policy == "fail":
            raise QuotaExceeded(f"{what}; {resets}: call again then")
        # Not all at one moment, when there is something again.
        wait = min(max(1.0, day.end - answer.now), LONGEST_WAIT) + random.uniform(0, 5)  # noqa: S311
        raise Deferred(f"{what}; {resets}", "waiting_for_quota", after=wait)


def _allowed(quota: Quota, *, priority: bool) -> int | None:
    if quota.limit is None or priority:
        return quota.limit
    return quota.limit - quota.reserve


def _utc(day: Day) -> str:
    return f"{day.resets_at:%Y-%m-%d %H:%M} UTC"
