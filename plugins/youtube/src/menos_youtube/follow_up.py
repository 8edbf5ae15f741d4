"""What is done with a video once it is stored, by another plugin, maybe on another host."""

from __future__ import annotations

from collections.abc import Sequence

from menos_bus import send


def process_content(content_id: str, operations: Sequence[str], *, priority: bool) -> str:
    """Submit ``tasks.process_content`` for what the running call has stored.

    The key follows from the running call, so that one that runs twice processes once.

    Returns:
        The task id of that call.

    Raises:
        CallError: it was not taken.
    """
    from celery import current_task

    call = current_task.request.id if current_task else None
    key = {"idempotency_key": f"{call}:process"} if call else {}
    return send(
        "tasks.process_content",
        content_id=content_id,
        operations=list(operations),
        priority=priority,
        **key,
    )
