"""``send``: submit a task by name from anywhere."""

from __future__ import annotations

from typing import Any


def send(name: str, *args: Any, **kwargs: Any) -> str:
    """Submit a task by name: from another task, a web application, a script.

    Inside a task the bus of that task is used, elsewhere the one that the settings lead to: an
    embedded one must be running. The task may live on another host; its arguments are then given
    by name.

    Args:
        name: the task's name, such as ``"tasks.process_content"``.
        args: its positional arguments.
        kwargs: its keyword arguments, the reserved ones among them.

    Returns:
        The task id.

    Raises:
        CallError: nothing was queued; the subclass says why.
    """
    from celery import current_task

    if current_task:
        return str(current_task.app.send_task(name, args, kwargs).id)
    from menos_bus.celery import bus
    from menos_bus.doors.client import submit

    return submit(bus, name, args, kwargs)
