"""How full the queues are, from the ledger, so that it works with every broker."""

from __future__ import annotations

from typing import Any, Final

_WAITING: Final = frozenset({"PENDING", "RETRY"})


def queue_depths(app: Any) -> list[dict[str, Any]]:
    """Per queue: ``name``, ``messages`` (waiting, retries among them) and ``running``.

    Args:
        app: the bus's Celery application.
    """
    depths = app.ledger.depths()
    names = sorted({queue.name for queue in app.conf.task_queues} | depths.keys())
    return [
        {
            "name": name,
            "messages": sum(n for state, n in depths.get(name, {}).items() if state in _WAITING),
            "running": sum(n for state, n in depths.get(name, {}).items() if state not in _WAITING),
        }
        for name in names
    ]
