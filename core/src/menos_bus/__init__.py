"""menos-bus: declare a task once, as a typed Python function, and reach it through every door.

A plugin needs only these names; the modules below document the rest.
"""

from menos_bus.bus import Bus
from menos_bus.errors import (
    BusError,
    BusUnavailable,
    CallConflict,
    CallError,
    Deferred,
    InvalidCall,
    Permanent,
    PluginError,
    QuotaExceeded,
    Retryable,
    SettingsError,
    TaskError,
    TaskFailed,
    UnknownQuota,
    UnknownTask,
    UnknownTaskId,
)
from menos_bus.fan_out import fan_out
from menos_bus.plugins.extensions import extensions
from menos_bus.plugins.hookspecs import Check, Proceed, Wait, hookimpl
from menos_bus.quota.quota import Quota
from menos_bus.send import send
from menos_bus.settings import BusSettings
from menos_bus.tasks.progress import progress
from menos_bus.tasks.running import task_id
from menos_bus.tasks.threads import task_threads
from menos_bus.version import VERSION as __version__
from menos_bus.wanted import Wanted

__all__ = [
    "Bus",
    "BusError",
    "BusSettings",
    "BusUnavailable",
    "CallConflict",
    "CallError",
    "Check",
    "Deferred",
    "InvalidCall",
    "Permanent",
    "PluginError",
    "Proceed",
    "Quota",
    "QuotaExceeded",
    "Retryable",
    "SettingsError",
    "TaskError",
    "TaskFailed",
    "UnknownQuota",
    "UnknownTask",
    "UnknownTaskId",
    "Wait",
    "Wanted",
    "__version__",
    "extensions",
    "fan_out",
    "hookimpl",
    "progress",
    "send",
    "task_id",
    "task_threads",
]
