"""A worker of a fleet: serves the queues of the plugins that loaded on this host."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from socket import gethostname
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import uuid4

from amqp.exceptions import AccessRefused, PreconditionFailed
from celery.platforms import SecurityWarning
from kombu.entity import Queue

from menos_bus.bus import Bus
from menos_bus.doors.one_process import held, reasons
from menos_bus.doors.server_logins import refuse_wrong_login
from menos_bus.errors import SettingsError
from menos_bus.messages.broker import connected
from menos_bus.messages.topology import DEAD_LETTERED, dead_letter_queues, queues
from menos_bus.settings import BusSettings
from menos_bus.tasks.register import TaskSpec

logger = logging.getLogger(__name__)

Pool = Literal["prefork", "threads", "solo", "gevent"]

_LIMITS_KEPT: Final[dict[Pool, tuple[str, ...]]] = {
    "prefork": ("time_limit", "soft_time_limit"),
    # Only while the task yields, but then it does.
    "gevent": ("time_limit",),
    "threads": (),
    "solo": (),
}
"""The time limits that each of Celery's pools can enforce."""


def run_worker(bus: Bus, only: Sequence[str] = (), pool: Pool = "prefork") -> int:
    """Serve until the process is told to stop.

    Args:
        bus: a bus with fleet settings.
        only: serve just these plugins; all that loaded by default.
        pool: Celery's pool.

    Returns:
        The worker's exit code.

    Raises:
        SettingsError: there is no broker, nothing to serve, or something that would go wrong
            later: each with the reason and what to do.
        BusUnavailable: the broker refuses what the worker needs.
    """
    if bus.settings.embedded:
        raise SettingsError(
            "a worker of its own needs a broker: set MENOS_BROKER_URL and MENOS_RESULT_BACKEND, "
            "or run everything in one process with `menos-bus up`"
        )
    app = bus.app
    served = _served(bus, only)
    tasks = [task for task in bus.registry.values() if task.plugin in served]
    _warn_of_root()
    _refuse_guest(bus.settings)
    _refuse_limits(tasks, pool)
    _refuse_consumer_timeout(tasks, bus.settings)
    _refuse_processes(tasks, pool, bus.settings)
    refuse_wrong_login(bus)
    consumed, dead = queues(served, embedded=False), dead_letter_queues(served)
    _declare(bus, [*dead, *consumed])
    consumed += [queue for queue in dead if queue.name == DEAD_LETTERED]
    for queue in consumed:
        app.amqp.queues.add(queue)
    # Two workers of one name would keep each other from their control queue.
    name = f"{'-'.join(served)}-{uuid4().hex[:8]}@{gethostname()}"
    with held(bus, name, tasks):
        worker = app.Worker(
            pool=pool,
            concurrency=bus.settings.concurrency,
            queues=[queue.name for queue in consumed],
            hostname=name,
            loglevel=bus.settings.log_level,
            without_gossip=True,
            without_mingle=True,
        )
        worker.start()
    return int(worker.exitcode or 0)


def _served(bus: Bus, only: Sequence[str]) -> list[str]:
    loaded = [plugin.name for plugin in bus.loaded]
    if unknown := [name for name in only if name not in loaded]:
        raise SettingsError(
            f"--only {', '.join(unknown)}: not loaded here (loaded: {', '.join(loaded) or 'none'}; "
            "`menos-bus plugins` says why)"
        )
    served = list(dict.fromkeys(only)) or loaded
    if not served:
        raise SettingsError(
            "no plugin is loaded, so there is nothing to serve: `menos-bus plugins`"
        )
    return served


def _warn_of_root() -> None:
    """Celery's own warning names an option that ``menos-bus worker`` does not have."""
    warnings.filterwarnings("ignore", category=SecurityWarning)
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # Windows has no such user
        logger.warning(
            "this worker runs as root, and so does every task: start it as a user of its own "
            "(User= of systemd, user: of compose.yaml, or su)"
        )


def _refuse_guest(settings: BusSettings) -> None:
    broker = urlsplit(settings.broker_url or "")
    if broker.username != "guest" or _is_loopback(broker.hostname or "localhost"):
        return
    raise SettingsError(
        f"MENOS_BROKER_URL: the user guest on {broker.hostname}: everybody knows its password; "
        "make a user of its own for the bus (docs/fleet.md)"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_limits(tasks: Iterable[TaskSpec], pool: Pool) -> None:
    problems = [
        f"{task.name} declares {limit}={task.options[limit]:g}"
        for task in tasks
        for limit in ("time_limit", "soft_time_limit")
        if task.options.get(limit) is not None and limit not in _LIMITS_KEPT[pool]
    ]
    if problems:
        raise SettingsError(
            f"--pool {pool} cannot end a task that runs too long, but {'; '.join(problems)}: "
            "use --pool prefork for this plugin, or leave it out with --only"
        )


def _refuse_consumer_timeout(tasks: Iterable[TaskSpec], settings: BusSettings) -> None:
    """RabbitMQ takes a message back, and closes the channel, when it is not settled in time."""
    if not (settings.broker_url or "").startswith("amqp"):
        return
    longest, name = max(
        ((task.options.get("time_limit") or settings.time_limit, task.name) for task in tasks),
        default=(settings.time_limit, "MENOS_TIME_LIMIT"),
    )
    if longest >= settings.consumer_timeout:
        raise SettingsError(
            f"{name} may run {longest:g} s, but RabbitMQ takes a message back after its "
            f"consumer_timeout of {settings.consumer_timeout:g} s: raise consumer_timeout in "
            "rabbitmq.conf and MENOS_CONSUMER_TIMEOUT with it, or lower the task's time_limit"
        )


def _refuse_processes(tasks: Iterable[TaskSpec], pool: Pool, settings: BusSettings) -> None:
    if pool != "prefork" or settings.concurrency == 1:
        return
    for task, reason in reasons(tasks).values():
        if reason is not None:
            raise SettingsError(
                f"{task} may run in one process only, and --concurrency "
                f"{settings.concurrency} starts {settings.concurrency}: {reason}. Use "
                "--concurrency 1, or leave the plugin out with --only"
            )


def _declare(bus: Bus, declared: Iterable[Queue]) -> None:
    """Make the queues, so that a wrong one is found now and not by the first message."""
    with connected(bus.app) as connection:
        for queue in declared:
            # A refusal closes the channel, so each has one of its own.
            with connection.channel() as channel:
                try:
                    queue(channel).declare()
                except PreconditionFailed as error:
                    raise SettingsError(
                        f"the queue {queue.name!r} exists with other options ({error.reply_text}): "
                        "stop what declared it, let it run empty, delete it with `rabbitmqctl "
                        f"delete_queue {queue.name}` and start again"
                    ) from None
                except AccessRefused as error:
                    raise SettingsError(
                        f"the broker's user may not declare {queue.name!r} ({error.reply_text}): "
                        "docs/fleet.md lists the permissions that a worker needs"
                    ) from None
