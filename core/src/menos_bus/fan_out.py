"""``fan_out``: run a task many times, side by side, and come back when all have ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from menos_bus.errors import BusUnavailable, Deferred, PluginError

if TYPE_CHECKING:
    from menos_bus.outcomes.outcome import Outcome

_SHARE: Final = 0.05
"""The part of its age that a call waits between two looks, so it ends at most this much later."""
_LONGEST: Final = 60.0
"""Seconds between two looks at most."""


def fan_out(
    task: str, calls: Mapping[str, Mapping[str, Any]], *, stage: str = "waiting"
) -> dict[str, Outcome]:
    """Run a task once for each of these calls, and return when all of them have ended.

    The calls are a Celery group. The task that asks does not keep its worker meanwhile: it is put
    back (:class:`~menos_bus.Deferred`, progress ``stage``) and run again from its start to look. So
    what stands before must be quick, repeatable, and give the same keys each time. A call is
    accepted once, however often that happens and whatever dies in between.

    Args:
        task: the task's name; it may live on another host.
        calls: key → keyword arguments, the reserved ones among them.
        stage: what callers see as progress.

    Returns:
        Key → :class:`menos_bus.outcomes.outcome.Outcome`, in the order of ``calls``, those that
        failed among them.

    Raises:
        Deferred: some have not ended; let it through.
        CallError: a call cannot be taken; those before it run.
        PluginError: not called inside a task.
    """
    from celery import current_task

    running = current_task._get_current_object() if current_task else None
    if running is None or not running.request.id:
        raise PluginError("fan_out works inside a running task only")
    app, parent = running.app, running.request.id
    ids = {key: str(uuid5(NAMESPACE_URL, f"menos-bus:{parent}:{task}:{key}")) for key in calls}
    if running.request.is_eager:
        return {key: _run_in_place(app, task, calls[key], ids[key]) for key in calls}
    try:
        outcomes = {key: _outcome(app, ids[key]) for key in calls}
        if missing := [key for key, outcome in outcomes.items() if outcome is None]:
            _submit(app, parent, task, {ids[key]: calls[key] for key in missing})
    except BusUnavailable as error:
        raise Deferred(error.message, error.code, after=10) from error
    ended = {key: found for key, found in outcomes.items() if found is not None and found.ready}
    if len(ended) == len(calls):
        return ended
    entry = app.ledger.find(parent)
    age = time.time() - entry.accepted_at if entry is not None else 0.0
    raise Deferred(
        f"{len(ended)} of {len(calls)} calls of {task} have ended",
        "waiting_for_calls",
        after=min(age * _SHARE, _LONGEST),
        progress=(stage, len(ended), len(calls)),
    )


def _run_in_place(app: Any, task: str, kwargs: Mapping[str, Any], task_id: str) -> Outcome:
    from menos_bus.outcomes.outcome import Outcome

    done = app.run_in_place(task, (), kwargs, task_id)
    return Outcome.from_meta(task_id, {"status": done.state, "result": done.result})


def _outcome(app: Any, task_id: str) -> Outcome | None:
    from menos_bus.outcomes.outcome import Outcome

    return Outcome.read(app, task_id) if task_id in app.ledger else None


def _submit(app: Any, parent: str, task: str, calls: Mapping[str, Mapping[str, Any]]) -> None:
    from celery import group

    members = [
        app.signature(task, kwargs=dict(kwargs), task_id=task_id)
        for task_id, kwargs in calls.items()
    ]
    # Not among the parent's children: a result would name each of thousands of them.
    group(members, app=app).apply_async(
        task_id=str(uuid5(NAMESPACE_URL, f"menos-bus:{parent}:{task}")), add_to_parent=False
    )
