"""What is done with a video once it is stored, by another plugin, maybe on another host."""

from __future__ import annotations

from collections.abc import Sequence

from menos_bus import BusUnavailable, CallError, Permanent, send


def process_content(content_id: str, operations: Sequence[str], *, priority: bool) -> str:
    """Submit ``tasks.process_content`` for what the running call has stored.

    The key follows from the running call, so that one that runs twice processes once.

    Returns:
        The task id of that call.

    Raises:
        Permanent: there is no such task, or it does not take these operations.
        BusUnavailable: it cannot be submitted now.
    """
    from celery import current_task

    call = current_task.request.id if current_task else None
    key = {"idempotency_key": f"{call}:process"} if call else {}
    try:
        return send(
            "tasks.process_content",
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
