"""``task_threads``: threads that a task starts, and that still know whose they are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from menos_bus.tasks.progress import mute


def task_threads(count: int) -> ThreadPoolExecutor:
    """Return a pool of threads that belong to the running task.

    What a task may do in its own thread works in them, too: ``send``, ``extensions``,
    ``Quota.spend``. Only how far the task is, is for its own thread to say: ``progress`` does
    nothing in these. Use it as a context, so that they end before the task does.

    Args:
        count: threads at most.
    """
    from celery import current_task
    from celery._state import push_current_task

    if not current_task:
        return ThreadPoolExecutor(count)
    task = current_task._get_current_object()
    request = task.request

    def belong() -> None:
        # Both stacks are a thread's own; they end with it.
        push_current_task(task)
        task.request_stack.push(request)
        mute()

    return ThreadPoolExecutor(count, initializer=belong)
