"""The registry: which tasks exist, which plugin they are from, which queue they travel on."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from menos_bus.alike import did_you_mean
from menos_bus.errors import NameTaken, PluginError, UnknownTask
from menos_bus.tasks.contract import owner_of
from menos_bus.tasks.retry import RetryPolicy
from menos_bus.tasks.schema import Signature

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_SECTION: Final = re.compile(r"^(?:Args|Returns|Raises|Yields|Example|Examples|Note):", re.M)
_OWNED: Final = frozenset(
    {"base", "exchange", "ignore_result", "queue", "routing_key", "serializer", "shared"}
)
"""Celery task options that the core decides for all tasks."""
_NOT_PLAIN: Final = (
    inspect.iscoroutinefunction,
    inspect.isasyncgenfunction,
    inspect.isgeneratorfunction,
)


@dataclass(frozen=True)
class TaskSpec:
    """One registered task.

    Attributes:
        name: the name that calls use, such as ``tasks.semantic_search``.
        plugin: the plugin that registered it; also its queue.
        function: the Python function.
        options: what goes to Celery unchanged (``max_retries``, ``time_limit``, …).
        signature: its typed parameters and result.
        dead_letter: whether a call that fails is kept, to be taken up again.
        one_process: what must be in one process only, and functions that say why, or ``None``.
    """

    name: str
    plugin: str
    function: Callable[..., Any]
    options: Mapping[str, Any]
    signature: Signature = field(repr=False)
    dead_letter: bool = True
    one_process: Mapping[str, Callable[[], str | None]] = field(default_factory=dict, repr=False)

    @property
    def queue(self) -> str:
        """The queue that the task's messages travel on."""
        return self.plugin

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return self.description.partition("\n")[0]

    @property
    def description(self) -> str:
        """The function's docstring without indentation, up to ``Args:``, ``Returns:``, …"""
        text = _SECTION.split(inspect.getdoc(self.function) or "")[0].rstrip()
        return text.replace("``", "`")

    def as_json(self) -> dict[str, Any]:
        """What ``menos-bus tasks --json`` prints of a task."""
        return {
            "name": self.name,
            "plugin": self.plugin,
            "queue": self.queue,
            "summary": self.summary,
            "parameters": self.signature.parameters_schema,
        }


class Registrar:
    """What a plugin's ``register_tasks`` hook is handed: call it once per task."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.tasks: list[TaskSpec] = []

    def __call__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        positional: Sequence[str] | None = None,
        *,
        dead_letter: bool = True,
        one_process: Mapping[str, Callable[[], str | None]] = MappingProxyType({}),
        **options: Any,
    ) -> None:
        """Register a function as a task.

        Args:
            function: a plain function with type hints; its docstring is the task's help.
            name: the task's name; ``<plugin>.<function>`` by default.
            positional: the names that positional arguments stand for, if not all parameters in
                their order. A reserved one among them, such as ``callback_url``, must be given.
            dead_letter: whether a call that fails is a dead letter. ``False`` suits a task that
                only reads: its caller is told, and there is nothing to repair later.
            one_process: what the process of its calls has for itself, such as a file: by its name,
                which tasks that share it have in common, a function that says why all their calls
                must run in one process, ``None`` if they need not. A fleet's worker asks it.
            options: Celery task options such as ``max_retries``, ``retry_backoff``,
                ``autoretry_for``, ``dont_autoretry_for``, ``time_limit``, ``bind``.

        Raises:
            PluginError: the function, its name or an option cannot be taken; says which and why.
        """
        if not inspect.isfunction(function) or any(kind(function) for kind in _NOT_PLAIN):
            told = getattr(function, "__qualname__", repr(function))
            raise PluginError(f"{told}: a task is a plain function, not async and no generator")
        name = name or f"{self.plugin}.{function.__name__}"
        if not _NAME.fullmatch(name):
            raise PluginError(
                f"task name {name!r}: must look like 'plugin.function', in lower case"
            )
        if name.startswith("celery."):
            raise PluginError(f"task name {name!r}: names that begin with celery. are Celery's")
        if owned := _OWNED & options.keys():
            raise PluginError(f"{name}: the bus sets {', '.join(sorted(owned))} itself")
        RetryPolicy.pop_from(dict(options))
        bound = bool(options.get("bind"))
        signature = Signature(function, bound=bound, positional=positional)
        self.tasks.append(
            TaskSpec(name, self.plugin, function, options, signature, dead_letter, one_process)
        )


def restart_for(plugin: str | None) -> str:
    """What to do about a plugin that the running process has not loaded yet."""
    return f"the plugin {plugin!r} was installed after the bus had started: restart the bus"


class Registry(Mapping[str, TaskSpec]):
    """All tasks of the loaded plugins, by name.

    Args:
        extensions: what the plugins have registered at a point, for checks of arguments.
        newer: the plugins that were installed after these were loaded.
        state_of: the state of a plugin that is not loaded, ``None`` of any other.
    """

    def __init__(
        self,
        extensions: Callable[[str], Mapping[str, Any]] = lambda point: {},
        newer: Callable[[], Collection[str]] = tuple,
        state_of: Callable[[str], str | None] = lambda plugin: None,
    ) -> None:
        self._tasks: dict[str, TaskSpec] = {}
        self._extensions = extensions
        self._newer = newer
        self._state_of = state_of

    def add(self, tasks: list[TaskSpec]) -> None:
        """Take all tasks of one plugin, or none.

        Raises:
            PluginError: a name is given twice.
            NameTaken: a name is taken already, or belongs to another plugin; names that.
        """
        seen: dict[str, TaskSpec] = {}
        for task in tasks:
            if task.name in seen:
                raise PluginError(f"registers the task {task.name} twice")
            if (other := self._tasks.get(task.name)) is not None:
                raise NameTaken(f"task {task.name} is already registered by {other.plugin!r}")
            owner = owner_of(task.name)
            if owner not in (None, task.plugin):
                # Hosts without the plugin route a call by its name alone.
                raise NameTaken(f"task {task.name} belongs to the plugin {owner!r}")
            seen[task.name] = task
        for task in tasks:
            task.signature.extensions = self._extensions
        self._tasks.update(seen)

    def remove(self, plugin: str) -> None:
        """Drop all tasks of a plugin."""
        self._tasks = {name: task for name, task in self._tasks.items() if task.plugin != plugin}

    @property
    def plugins(self) -> set[str]:
        """The plugins that have registered a task."""
        return {task.plugin for task in self._tasks.values()}

    def leaves_dead_letter(self, name: str) -> bool:
        """Whether a call of that task is a dead letter when it fails; so are those unknown here."""
        task = self._tasks.get(name)
        return task is None or task.dead_letter

    def __getitem__(self, name: str) -> TaskSpec:
        """The task of that name.

        Raises:
            UnknownTask: lists what there is, what is alike first, or says that a restart brings it.
        """
        try:
            return self._tasks[name]
        except KeyError:
            if (plugin := owner_of(name)) in self._newer():
                raise UnknownTask(f"unknown task {name!r}: {restart_for(plugin)}") from None
            if plugin is not None and (state := self._state_of(plugin)) is not None:
                why = f"the plugin {plugin!r} is {state}, `menos-bus plugins` says why"
                raise UnknownTask(f"unknown task {name!r}: {why}") from None
            known = ", ".join(sorted(self._tasks)) or "none: no plugin is loaded"
            meant = did_you_mean(name, self._tasks)
            raise UnknownTask(f"unknown task {name!r}{meant} (known: {known})") from None

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    def get(self, name: str, default: Any = None) -> Any:
        """The task of that name, or ``default``."""
        return self._tasks.get(name, default)
