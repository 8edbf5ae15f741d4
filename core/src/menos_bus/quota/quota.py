"""``Quota``: what a metered service allows, declared once, spent around each use of it."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn
from zoneinfo import ZoneInfo

from menos_bus.errors import PluginError
from menos_bus.quota.store import Lease

if TYPE_CHECKING:
    from menos_bus.quota.gate import Gate

logger = logging.getLogger(__name__)

Policy = Literal["fail", "wait"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_]*)*")


@dataclass(frozen=True)
class Quota:
    """Units that may be spent a day, and uses a second, by all processes of a bus together.

    Declare it in the hook ``register_quotas``, and spend around each use, inside a task::

        WEATHER = Quota("weather", limit=1_000, rate=5)

        @hookimpl
        def register_quotas(register):
            register(WEATHER)

        def forecast(city: str) -> str:
            with WEATHER.spend():
                return httpx.get(f"https://weather.example/{city}").text

    Args:
        name: the plugin's name, or ``<plugin>.<word>`` for a further bucket.
        limit: units a day; ``None`` for no limit, only a ``rate``.
        reserve: units of the limit that only calls made with ``priority=True`` may use.
        zone: the IANA time zone whose midnight resets it.
        rate: uses a second on average; ``None`` for as fast as it goes.
        burst: uses that may come at once after a pause.
        policy: what a call without priority does when nothing is left for it: ``"fail"`` at once
            with :class:`~menos_bus.QuotaExceeded`, or ``"wait"`` for the reset. Calls with priority
            always wait.

    Raises:
        PluginError: a value cannot be; says which and why.
    """

    name: str
    limit: int | None = None
    reserve: int = 0
    zone: str = "UTC"
    rate: float | None = None
    burst: int = 1
    policy: Policy = "fail"

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise PluginError(f"quota {self.name!r}: {problem}")

    def _problem(self) -> str | None:
        if not _NAME.fullmatch(self.name):
            return "its name must look like 'plugin' or 'plugin.word', in lower case"
        if self.limit is None and self.rate is None:
            return "it limits nothing: give it a limit, a rate or both"
        if self.limit is not None and self.limit < 0:
            return f"limit must be 0 or more, not {self.limit}"
        if not 0 <= self.reserve <= (self.limit or 0):
            return f"reserve must be from 0 to the limit, not {self.reserve}"
        if self.rate is not None and not (self.rate > 0 and math.isfinite(self.rate)):
            return f"rate must be uses a second, more than 0, not {self.rate}"
        if self.burst < 1:
            return f"burst must be 1 or more, not {self.burst}"
        if self.policy not in ("fail", "wait"):
            return f"policy must be 'fail' or 'wait', not {self.policy!r}"
        try:
            ZoneInfo(self.zone)
        except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
            return f"there is no time zone {self.zone!r}"
        except KeyError:
            return f"there is no time zone {self.zone!r} (is the package tzdata installed?)"
        return None

    @contextmanager
    def spend(
        self, units: int = 1, *, unsent: tuple[type[BaseException], ...] = ()
    ) -> Iterator[Spending]:
        """Spend units on what is done inside, which may have to wait for its turn first.

        The units count from the start, so that a process which dies inside has spent them. They
        are given back only if nothing was used for sure: if an exception of ``unsent`` comes out,
        if another quota that is spent inside refuses, or on :meth:`Spending.refund`.

        Args:
            units: what this use costs.
            unsent: exceptions after which the service was surely not asked, such as
                ``httpx.ConnectError``.

        Raises:
            QuotaExceeded: nothing is left for a call without priority; says when it resets.
            Deferred: the call waits: for the reset, for its turn, or for the store of the quotas,
                without which nothing is spent. Let it through: the bus runs the task again then.
            UnknownQuota: the quota was not registered.
            PluginError: not called in the thread of a task, or ``units`` is no whole number.
        """
        if type(units) is not int or units < 1:
            raise PluginError(f"quota {self.name!r}: units must be a whole number, not {units!r}")
        task = _running_task()
        gate, booking = task.app.gate, str(task.request.id)
        priority = bool(getattr(task, "priority_call", False))
        spending = Spending(
            gate, gate.reserve(self.name, units, priority=priority, booking=booking), priority
        )
        try:
            yield spending
        except BaseException as error:
            # Before anything was used, if it is the refusal of a quota that is spent inside.
            if isinstance(error, unsent) or getattr(error, "nothing_spent", False):
                spending.refund()
            raise
        finally:
            spending.settle()


@dataclass
class Spending:
    """What :meth:`Quota.spend` hands out."""

    _gate: Gate
    lease: Lease
    _priority: bool
    _settled: bool = field(default=False, init=False)

    def refund(self) -> None:
        """Give the units back, since nothing was used for sure."""
        if not self._settled:
            self._settled = True
            self._gate.refund(self.lease)

    def close(self, reason: str) -> NoReturn:
        """Take note that the service refused this use since the day's quota is spent.

        Nothing more is spent until the reset.

        Args:
            reason: what the service said.

        Raises:
            QuotaExceeded, Deferred: always, as :meth:`Quota.spend` does when nothing is left.
        """
        self.settle()
        self._gate.close(self.lease, reason, priority=self._priority)

    def settle(self) -> None:
        """Count the units as spent, unless they were given back."""
        if not self._settled:
            self._settled = True
            self._gate.commit(self.lease)


def _running_task() -> Any:
    from celery import current_task

    if not current_task:
        raise PluginError(
            "a quota can be spent inside a running task only, and in its own thread: submit the "
            "task, or call it with menos_bus.testing.TestBus"
        )
    return current_task
