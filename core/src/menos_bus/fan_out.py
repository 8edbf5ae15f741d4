"""``fan_out``: run a task many times, side by side, and come back when all have ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from menos_bus.errors import BusUnavailable, Deferred, FieldProblem, InvalidCall, PluginError
from menos_bus.tasks.contract import computed_id

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
    what stands before must be quick, repeatable, and give the same calls each time. A call is
    accepted once, however often that happens and whatever dies in between. When the task itself is
    taken up again after a failure (``menos-bus dead replay``), those that had failed run again.

    Args:
        task: the task's name; it may live on another host.
        calls: key → keyword arguments, ``callback_url`` and ``priority`` among them.
        stage: what callers see as progress.

    Returns:
        Key → :class:`menos_bus.outcomes.outcome.Outcome`, in the order of ``calls``, those that
        failed among them.

    Raises:
        Deferred: some have not ended; let it through.
        CallError: a call cannot be taken; none of them was sent.
        PluginError: not called inside a task.
    """
    from celery import current_task

    from menos_bus.tasks.envelope import digest_of

    running = current_task._get_current_object() if current_task else None
    if running is None or not running.request.id:
        raise PluginError("fan_out works inside a running task only")
    app, parent = running.app, running.request.id
    for key, kwargs in calls.items():
        if "idempotency_key" in kwargs:
            told = "fan_out gives each call an id of its own"
            raise InvalidCall([FieldProblem(f"{key}.idempotency_key", told)])
    names = {key: f"{parent}:{task}:{key}:{digest_of(task, (), calls[key])}" for key in calls}
    if running.request.is_eager:
        return {key: _run_in_place(app, task, calls[key], _id(names[key])) for key in calls}
    try:
        entry = app.ledger.find(parent)
        rounds = entry.rounds if entry is not None else 0
        looks = {key: _look(app, names[key], rounds) for key in calls}
        if lost := [key for key, look in looks.items() if look.is_lost]:
            _submit(app, parent, task, {looks[key].task_id: calls[key] for key in lost})
        ended = {key: look.outcome for key, look in looks.items() if look.outcome is not None}
        age = time.time() - entry.accepted_at if entry is not None else 0.0
        if age > app.settings.result_expires / 4:
            # Whatever ends last, the first ones must still be known then.
            app.ledger.keep([looks[key].task_id for key in ended])
    except BusUnavailable as error:
        raise Deferred(error.message, error.code, after=10) from error
    if len(ended) == len(calls):
        return ended
    raise Deferred(
        f"{len(ended)} of {len(calls)} calls of {task} have ended",
        "waiting_for_calls",
        after=min(age * _SHARE, _LONGEST),
        progress=(stage, len(ended), len(calls)),
    )


class _Look(NamedTuple):
    """How a call is: its outcome if it has ended, and whether it must be sent (once more)."""

    task_id: str
    outcome: Outcome | None
    is_lost: bool


def _look(app: Any, name: str, rounds: int) -> _Look:
    """Look at a call: where it has succeeded in a round of the parent's, else in the last one."""
    for number in range(rounds + 1):
        look = _look_at(app, _id(name, number))
        if number == rounds or (look.outcome is not None and look.outcome.state == "SUCCESS"):
            break
    return look


def _look_at(app: Any, task_id: str) -> _Look:
    from menos_bus.outcomes.ledger import ABANDONED_SECONDS
    from menos_bus.outcomes.outcome import Outcome

    entry = app.ledger.find(task_id)
    if entry is None:
        return _Look(task_id, None, is_lost=True)
    if not entry.published:
        # Whoever was about to send it may have died.
        late = time.time() - entry.accepted_at > ABANDONED_SECONDS
        return _Look(task_id, None, is_lost=late)
    outcome = Outcome.read(app, task_id)
    return _Look(task_id, outcome if outcome.ready else None, is_lost=False)


def _id(name: str, rounds: int = 0) -> str:
    return computed_id(name, *([rounds] if rounds else []))


def _run_in_place(app: Any, task: str, kwargs: Mapping[str, Any], task_id: str) -> Outcome:
    from menos_bus.outcomes.outcome import Outcome

    done = app.run_in_place(task, (), kwargs, task_id)
    return Outcome.from_meta(task_id, {"status": done.state, "result": done.result})


def _submit(app: Any, parent: str, task: str, calls: Mapping[str, Mapping[str, Any]]) -> None:
    from celery import group

    for kwargs in calls.values():
        app.check(task, (), kwargs)
    members = [
        app.signature(task, kwargs=dict(kwargs), task_id=task_id)
        for task_id, kwargs in calls.items()
    ]
    # Not among the parent's children: a result would name each of thousands of them.
    group(members, app=app).apply_async(task_id=_id(f"{parent}:{task}"), add_to_parent=False)
