"""``task_id``: which call a task function is running for."""

from __future__ import annotations


def task_id() -> str | None:
    """Return the id of the running call; ``None`` where a task function is called as plain Python.

    It is the same whenever a call is tried again, put back, or delivered twice: a task that notes
    it beside what it does can tell that it has done so before. Once its result has expired, another
    call may be given the same one.
    """
    from celery import current_task

    if not current_task or current_task.request.called_directly:
        return None
    return str(current_task.request.id)
