"""menos-bus: declare a task once, as a typed Python function, and reach it through every door.

A plugin needs only these names; the modules below document the rest.
"""

from menos_bus.bus import Bus
from menos_bus.errors import (
    BusError,
    BusUnavailable,
    CallConflict,
    CallError,
    InvalidCall,
    Permanent,
    PluginError,
    Retryable,
    SettingsError,
    TaskError,
    TaskFailed,
    UnknownTask,
    UnknownTaskId,
)
from menos_bus.plugins.hookspecs import Check, Proceed, Wait, hookimpl
from menos_bus.send import send
from menos_bus.settings import BusSettings
from menos_bus.tasks.progress import progress
from menos_bus.version import VERSION as __version__

__all__ = [
    "Bus",
    "BusError",
    "BusSettings",
    "BusUnavailable",
    "CallConflict",
    "CallError",
    "Check",
    "InvalidCall",
    "Permanent",
    "PluginError",
    "Proceed",
    "Retryable",
    "SettingsError",
    "TaskError",
    "TaskFailed",
    "UnknownTask",
    "UnknownTaskId",
    "Wait",
    "__version__",
    "hookimpl",
    "progress",
    "send",
]
