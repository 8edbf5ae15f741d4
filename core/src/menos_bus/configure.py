"""The Celery configuration of both profiles, in one place."""

from __future__ import annotations

from typing import Any, Final

from kombu.connection import Connection

from menos_bus.app import BusApp
from menos_bus.callbacks import task as callbacks
from menos_bus.callbacks.guard import Guard
from menos_bus.callbacks.outbox import SubmitOwed
from menos_bus.callbacks.signing import Signer
from menos_bus.errors import BusUnavailable, SettingsError
from menos_bus.messages import topology
from menos_bus.messages.publish import PUBLISH_SECONDS
from menos_bus.outcomes.ledger import Ledger
from menos_bus.outcomes.sqlite import SQLiteLedger
from menos_bus.outcomes.watch import Watchers
from menos_bus.plugins.hooks import Hooks
from menos_bus.plugins.loader import Declared
from menos_bus.quota.gate import Gate
from menos_bus.quota.sqlite import SQLiteQuotaStore
from menos_bus.quota.store import QuotaStore
from menos_bus.settings import BusSettings
from menos_bus.task import BusTask
from menos_bus.tasks.contract import INTERNAL_QUEUE
from menos_bus.tasks.register import TaskSpec
from menos_bus.tasks.retry import RetryPolicy

_BOTH: Final[dict[str, Any]] = {
    # JSON only: a pickle from outside would run whatever it says.
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "enable_utc": True,
    "timezone": "UTC",
    "task_default_queue": INTERNAL_QUEUE,
    "task_create_missing_queues": False,
    "task_track_started": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_send_sent_event": True,
    "worker_send_task_events": True,
    "worker_prefetch_multiplier": 1,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "broker_connection_retry_on_startup": True,
    "result_backend_always_retry": True,
}
_EMBEDDED: Final[dict[str, Any]] = {
    "broker_url": "memory://localhost//",
    "broker_transport": "menos_bus.messages.memory:Transport",
    # Seconds that the worker's timer sleeps at most; what the end waits for it.
    "worker_timer_precision": 0.1,
    "result_backend": "menos_bus.outcomes.backend:LedgerBackend",
}
_REDIS_BACKEND: Final = "menos_bus.outcomes.redis_backend:RedisLedgerBackend"
_FLEET: Final[dict[str, Any]] = {
    "broker_transport_options": {
        "confirm_publish": True,
        "read_timeout": PUBLISH_SECONDS,
        "write_timeout": PUBLISH_SECONDS,
    },
    # A publish that cannot be confirmed fails within seconds instead of hanging the caller.
    "task_publish_retry": False,
    "broker_connection_timeout": 5,
    # Celery's own is 120 s, which a caller at a door would wait.
    "redis_socket_timeout": 10,
    "redis_socket_connect_timeout": 5,
    "broker_channel_error_retry": True,
    "worker_deduplicate_successful_tasks": True,
    "worker_consumer": "menos_bus.messages.consumer:GuardedConsumer",
    # A failed task's message goes to the dead letters.
    "task_acks_on_failure": False,
    "worker_detect_quorum_queues": True,
}


def make_app(settings: BusSettings, declared: Declared) -> BusApp:
    """A Celery application with all that plugins have declared."""
    app = BusApp("menos_bus", set_as_current=False)
    app.registry, app.hooks = declared.tasks, declared.hooks
    app.extensions = declared.extensions
    app.settings = settings
    app.open_ledger = lambda: _ledger(settings)
    app.gate = Gate(declared.quotas, lambda: _quota_store(settings))
    app.watchers = Watchers()
    app.conf.update(_BOTH, result_expires=settings.result_expires)
    app.conf.worker_concurrency = settings.concurrency
    plugins = sorted(app.registry.plugins)
    app.conf.task_queues = topology.queues(plugins, embedded=settings.embedded)
    if settings.embedded:
        app.conf.update(_EMBEDDED)
    else:
        _check_servers(settings)
        app.conf.update(
            _FLEET,
            broker_url=settings.broker_url,
            result_backend=f"{_REDIS_BACKEND}+{settings.result_backend}",
            result_compression=(
                None if settings.result_compression == "none" else settings.result_compression
            ),
            task_soft_time_limit=settings.soft_time_limit,
            task_time_limit=settings.time_limit,
            worker_max_tasks_per_child=settings.max_tasks_per_child,
        )
    app.callback_guard, app.callback_signer = _callback_guard(settings), _callback_signer(settings)
    app.steps["consumer"].add(SubmitOwed)
    for spec in (*app.registry.values(), callbacks.SPEC):
        _add_task(app, spec, app.hooks)
    return app


def _check_servers(settings: BusSettings) -> None:
    """Name a URL that leads nowhere at the start, and not with the first call."""
    import redis

    told = "is no URL like {}; signs such as / # @ in a password are percent-encoded"
    try:
        if "://" not in str(settings.broker_url):  # kombu would take it for a host of RabbitMQ's
            raise ValueError("no scheme")
        Connection(settings.broker_url).get_transport_cls()
    except (KeyError, ImportError) as error:
        raise SettingsError(f"MENOS_BROKER_URL: {error.args[0]}") from None
    except ValueError:  # its text may quote the password
        url = "amqp://user:password@rabbit:5672/menos"
        raise SettingsError(f"MENOS_BROKER_URL {told.format(url)}") from None
    try:
        redis.ConnectionPool.from_url(str(settings.result_backend))
    except ValueError:
        url = "redis://redis:6379/0"
        raise SettingsError(f"MENOS_RESULT_BACKEND {told.format(url)}") from None


def _callback_guard(settings: BusSettings) -> Guard:
    try:
        return Guard(settings.callback_allow)
    except ValueError as error:
        raise SettingsError(f"MENOS_CALLBACK_ALLOW: {error}") from None


def _callback_signer(settings: BusSettings) -> Signer | None:
    if settings.callback_secret is None:
        return None
    try:
        return Signer(settings.callback_secret.get_secret_value().replace(",", " ").split())
    except ValueError as error:
        raise SettingsError(f"MENOS_CALLBACK_SECRET: {error}") from None


def _ledger(settings: BusSettings) -> Ledger:
    if settings.embedded:
        home = settings.make_home()
        try:
            return SQLiteLedger(home)
        except BusUnavailable as error:
            raise SettingsError(
                f"the ledger in the data folder {home} cannot be opened ({error.__cause__}): "
                "free disk space, correct its rights, or set MENOS_HOME to another folder"
            ) from error
    from menos_bus.outcomes.redis import RedisLedger

    assert settings.result_backend is not None
    return RedisLedger(settings.result_backend, settings.result_expires)


def _quota_store(settings: BusSettings) -> QuotaStore:
    if settings.embedded:
        return SQLiteQuotaStore(settings.home)
    from menos_bus.quota.redis import RedisQuotaStore

    assert settings.result_backend is not None
    return RedisQuotaStore(settings.result_backend)


def _add_task(app: BusApp, spec: TaskSpec, hooks: Hooks) -> None:
    options = {name: value for name, value in spec.options.items() if name != "bind"}
    policy = RetryPolicy.pop_from(options, app.settings.max_retries)
    attributes = {
        **options,
        "name": spec.name,
        "spec": spec,
        "policy": policy,
        "hooks": hooks,
        "__doc__": spec.function.__doc__,
        "__module__": spec.function.__module__,
    }
    app.register_task(type(spec.function.__name__, (BusTask,), attributes)())
