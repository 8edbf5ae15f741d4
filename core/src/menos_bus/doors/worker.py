"""A fleet's worker: serves the queues of the plugins that loaded on this host."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from menos_bus.bus import Bus
from menos_bus.errors import SettingsError
from menos_bus.messages.topology import INTERNAL_QUEUE, dead_letter_queues, plugin_of


def run_worker(bus: Bus, only: Sequence[str] = ()) -> int:
    """Serve until the process is told to stop.

    Args:
        bus: a bus with fleet settings.
        only: serve just these plugins; all that loaded by default.

    Returns:
        The worker's exit code.

    Raises:
        SettingsError: there is no broker, or nothing to serve.
    """
    if bus.settings.embedded:
        raise SettingsError(
            "a worker of its own needs a broker: set MENOS_BROKER_URL and MENOS_RESULT_BACKEND, "
            "or run everything in one process with `menos-bus up`"
        )
    app = bus.app
    loaded = [plugin.name for plugin in bus.loaded]
    if unknown := [name for name in only if name not in loaded]:
        raise SettingsError(
            f"--only {', '.join(unknown)}: not loaded here (loaded: {', '.join(loaded) or 'none'}; "
            "`menos-bus plugins` says why)"
        )
    served = list(only) or loaded
    if not served:
        raise SettingsError(
            "no plugin is loaded, so there is nothing to serve: `menos-bus plugins`"
        )
    with app.connection_for_write() as connection:
        for queue in dead_letter_queues(served):
            queue(connection.default_channel).declare()
    names = [
        queue.name
        for queue in app.conf.task_queues
        if queue.name == INTERNAL_QUEUE or plugin_of(queue.name) in served
    ]
    worker = app.Worker(
        pool="prefork",
        concurrency=bus.settings.concurrency,
        queues=names,
        # Two workers of one name would keep each other from their control queue.
        hostname=f"{'-'.join(served)}-{uuid4().hex[:8]}@%h",
        loglevel=bus.settings.log_level,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
