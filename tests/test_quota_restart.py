"""A call that waits for its quota goes on when the bus is started again with more of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from running import RunningBus, poll

METERED = '''
import os
from menos_bus import Quota, hookimpl

QUOTA = Quota("metered", limit=int(os.environ["METERED_LIMIT"]))

@hookimpl
def register_quotas(register):
    register(QUOTA)

@hookimpl
def register_tasks(register):
    register(use)

def use() -> str:
    """Use the quota."""
    with QUOTA.spend():
        return "used"
'''


def test_a_raised_limit_is_noticed_at_the_next_start(
    install: Callable[..., Any], start: Callable[..., RunningBus]
) -> None:
    install("metered", METERED)
    poor = start(METERED_LIMIT="1")
    assert poor.result("metered.use") == "used"
    waiting = poor.submit("metered.use", priority=True)
    poll(lambda: poor.outcome(waiting)["state"] == "RETRY", what="waiting")
    poor.stop()

    rich = start(METERED_LIMIT="2")

    assert rich.outcome(waiting, timeout=30)["result"] == "used"
