"""What is done with a video once it is stored, by another plugin, maybe on another host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from menos_bus import BusUnavailable, CallError, Permanent, send, task_id

_TASK: Final = "tasks.process_content"


def check_operations(operations: Sequence[str]) -> None:
    """See whether the task takes these operations, before anything is done.

    On a fleet the host that has the plugin says so later.

    Raises:
        Permanent: there is no such task, or it does not take them.
    """
    from celery import current_task

    if not operations or not current_task:
        return
    arguments = {"content_id": "0" * 32, "operations": list(operations)}
    try:
        current_task.app.check(_TASK, (), arguments)
    except CallError as error:
        raise Permanent(f"process: {error.message}", code=error.code) from error


def process_content(content_id: str, operations: Sequence[str], *, priority: bool) -> str:
    """Submit ``tasks.process_content`` for what the running call has stored.

    The key follows from the running call, so that one that runs twice processes once.

    Returns:
        The task id of that call.

    Raises:
        Permanent: there is no such task, or it does not take these operations.
        BusUnavailable: it cannot be submitted now.
    """
    call = task_id()
    key = {"idempotency_key": f"{call}:process:{content_id}"} if call else {}
    try:
        return send(
            _TASK,
            content_id=content_id,
            operations=list(operations),
            priority=priority,
            **key,
        )
    except BusUnavailable:
        raise
    except CallError as error:
        raise Permanent(
            f"the video is stored as content {content_id}, but cannot be processed: "
            f"{error.message}",
            code=error.code,
        ) from error
