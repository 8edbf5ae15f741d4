"""How far a running task is: the ``PROGRESS`` state."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

PROGRESS: Final = "PROGRESS"
"""The state of a running task that has said how far it is. Its result is
``{"stage": str, "done": int, "total": int | None}``."""

_INTERVAL: Final = 0.25
"""Seconds between two writes of one stage: a person sees no more, and each one costs."""


_here = threading.local()


def mute() -> None:
    """Have `progress` do nothing in this thread from now on."""
    _here.mute = True


def progress(stage: str, done: int = 0, total: int | None = None) -> None:
    """Say how far the running task is.

    A new stage and its end are always written, once, what lies between at most four times a second.
    Outside a worker this does nothing, so a task function can be called as plain Python; nor does
    it in the threads of ``task_threads``, whose steps would get mixed up.

    Args:
        stage: what is going on, in a word or two: ``"embedding"``.
        done: steps finished.
        total: steps in all, if known.
    """
    from celery import current_task

    task = current_task._get_current_object() if current_task else None
    if (
        task is None
        or getattr(_here, "mute", False)
        or task.request.called_directly
        or task.request.is_eager
    ):
        return
    last: dict[str, Any] = task.request.__dict__.setdefault("_menos_progress", {})
    now = time.monotonic()
    meta = {"stage": stage, "done": done, "total": total}
    before = last.get("meta", {})
    if meta == before:
        return
    if stage == before.get("stage") and done != total and now - last["at"] < _INTERVAL:
        return
    last.update(meta=meta, at=now)
    task.update_state(state=PROGRESS, meta=meta)
    # Celery's monitors take an event of an unknown kind for a state of that name, so Flower's
    # pages show it too.
    of = "" if total is None else f" of {total}"
    task.send_event("task-progress", result=f"{stage}: {done}{of}")
