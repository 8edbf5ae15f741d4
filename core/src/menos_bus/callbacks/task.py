"""The task that delivers one callback; on queue ``callbacks``, with a schedule of its own."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any, Final

from menos_bus.callbacks.deliver import Answer, DeliveryFailed, post
from menos_bus.callbacks.outbox import DELIVER
from menos_bus.callbacks.schedule import Again, Stop, Tries, next_step
from menos_bus.errors import Permanent, Retryable
from menos_bus.outcomes.ledger import Entry
from menos_bus.outcomes.outcome import Outcome
from menos_bus.tasks.contract import CALLBACK_QUEUE
from menos_bus.tasks.register import TaskSpec
from menos_bus.tasks.schema import Signature


def deliver(
    task: Any, task_id: str, failed: int = 0, early: int = 0, since: float | None = None
) -> dict[str, Any]:
    """Send the outcome of a call to its ``callback_url``.

    Args:
        task: the running Celery task; its id is the event's.
        task_id: the call whose outcome is sent.
        failed: tries so far that failed.
        early: tries so far that the receiver was not ready for.
        since: when the first try was due, in seconds since the epoch.

    Returns:
        ``{"status": …}``: the receiver's HTTP status.

    Raises:
        Retryable: there is another try.
        Permanent: the callback is given up.
    """
    app = task.app
    entry = app.ledger.find(task_id)
    if entry is None or entry.callback_url is None:
        raise Permanent(f"{task_id} is not known any more", "callback_expired")
    outcome = Outcome.read(app, task_id)
    if not outcome.ready:
        raise Permanent(
            f"{task_id} runs again and will send its own callback", "callback_overtaken"
        )
    since = since or time.time()
    body = event(entry, outcome)
    result = _send(task, entry.callback_url, body)
    step = next_step(result, Tries(failed, early), time.time() - since)
    if isinstance(step, Stop):
        raise Permanent(f"{_place(entry.callback_url)}: {step.reason}", "callback_refused")
    if isinstance(step, Again):
        # The next try is this call again, with what it has to know.
        tries = {"failed": step.tries.failed, "early": step.tries.early, "since": since}
        task.request.kwargs = {"task_id": task_id, **tries}
        reason = f"{_place(entry.callback_url)}: {step.reason}"
        raise Retryable(reason, "callback_failed", after=step.seconds)
    return {"status": result.status if isinstance(result, Answer) else None}


def event(entry: Entry, outcome: Outcome) -> bytes:
    """The body of a callback: the same bytes at every try."""
    succeeded = outcome.state == "SUCCESS"
    data: dict[str, Any] = {"task_id": entry.task_id, "task": entry.task, "state": outcome.state}
    data |= {"result": outcome.result} if succeeded else {"error": outcome.error}
    told = {
        "type": "task.succeeded" if succeeded else "task.failed",
        "timestamp": outcome.done_at,
        "data": data,
    }
    return json.dumps(told, ensure_ascii=False).encode()


def _send(task: Any, url: str, body: bytes) -> Answer | DeliveryFailed:
    app = task.app
    headers = {
        "webhook-id": task.request.id,
        "webhook-timestamp": str(int(datetime.now(UTC).timestamp())),
    }
    if app.callback_signer is not None:
        headers = app.callback_signer.headers(task.request.id, body, datetime.now(UTC))
    if (token := app.settings.callback_token) is not None:
        headers["x-menos-token"] = token.get_secret_value()
    try:
        status = task.hooks.deliver_callback(url=url, body=body, headers=headers)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's fault is a failed try
        return DeliveryFailed(
            f"a plugin's deliver_callback failed: {type(error).__name__}: {error}"
        )
    if status is not None:
        return Answer(status, "", None)
    try:
        return post(url, body, headers, app.callback_guard, app.settings.callback_timeout)
    except DeliveryFailed as failed:
        return failed


def _place(url: str) -> str:
    """Where a URL leads, without what may be secret in it."""
    return "/".join(url.split("?")[0].split("/")[:3])


SPEC: Final = TaskSpec(
    name=DELIVER,
    plugin=CALLBACK_QUEUE,
    function=deliver,
    # The schedule says when to stop.
    options={"bind": True, "max_retries": None},
    signature=Signature(deliver, bound=True),
)
"""Every bus has this task. It is not in the registry, since no door offers it."""
