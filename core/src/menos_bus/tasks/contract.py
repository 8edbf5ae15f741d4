"""The task names that existing workflows use, the queues they travel on, and computed ids.

They are part of the wire format and never change. Two things need the names where the plugin itself
is not installed: routing a call to a host that has it, and keeping another plugin from taking the
name over.
"""

from __future__ import annotations

from typing import Final
from uuid import NAMESPACE_URL, uuid5

PUBLIC_TASKS: Final[dict[str, str]] = {
    "tasks.ingest_youtube": "youtube",
    "tasks.ingest_youtube_with_callback": "youtube",
    "tasks.ingest_youtube_playlist": "youtube",
    "tasks.ingest_youtube_channel": "youtube",
    "tasks.store_content": "content",
    "tasks.process_content": "content",
    "tasks.list_content": "content",
    "tasks.show_content": "content",
    "tasks.delete_content": "content",
    "tasks.vault_stats": "content",
    "tasks.export_content": "content",
    "tasks.import_content": "content",
    "tasks.reindex_content": "content",
    "tasks.semantic_search": "search",
    "tasks.similar_content": "search",
}
"""Task name → the plugin that owns it, which is also its queue."""

DELIVERY: Final = ("task_id", "countdown", "eta", "expires")
"""What a call says of its delivery, beside its arguments."""

INTERNAL_QUEUE: Final = "celery"
"""Where Celery's own tasks travel, such as the one that completes a chord."""

CALLBACK_QUEUE: Final = "callbacks"
"""Where the delivery of callbacks travels."""

CORE_QUEUES: Final = (INTERNAL_QUEUE, CALLBACK_QUEUE)
"""The queues of the bus itself, which every worker serves."""


def computed_id(*words: object) -> str:
    """The id that these words stand for: the same one in every process, on every host."""
    return str(uuid5(NAMESPACE_URL, ":".join(map(str, ("menos-bus", *words)))))


def core_queue(task: str) -> str | None:
    """The queue of a task of the bus itself, or ``None`` for a plugin's."""
    prefix = task.partition(".")[0]
    return prefix if prefix in CORE_QUEUES else None


def owner_of(task: str) -> str | None:
    """The plugin, and so the queue, that a task name belongs to by its name alone.

    ``tasks.…`` names are looked up in :data:`PUBLIC_TASKS`; any other name is
    ``<plugin>.<function>``. ``None`` for a ``tasks.…`` name that is not public.
    """
    plugin, _, rest = task.partition(".")
    if plugin == "tasks":
        return PUBLIC_TASKS.get(task)
    return plugin if rest else None
