"""Which plugins are installed, and what became of each: six states, each with its reason.

A plugin is an entry point of the group ``menos_bus`` whose value is a module. They are taken in
the order of ``MENOS_PLUGINS`` or, without it, by name; each step can only take a plugin out, never
the program:

1. the allow list, before anything is imported
2. two distributions with one plugin name
3. the range that the plugin's own ``Requires-Dist: menos-bus`` gives
4. import
5. hook names and arguments
6. settings, then tasks, quotas, extensions
"""

from __future__ import annotations

import importlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import ModuleType
from typing import Any, Final

import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import ValidationError

from menos_bus.alike import did_you_mean
from menos_bus.errors import NameTaken, PluginError
from menos_bus.plugins.extensions import Extensions
from menos_bus.plugins.hooks import Hooks
from menos_bus.plugins.hookspecs import ENTRY_POINT_GROUP, HookSpecs
from menos_bus.quota.register import Quotas
from menos_bus.settings import wrong_variables
from menos_bus.tasks.register import Registrar, Registry
from menos_bus.version import VERSION

SLOW_IMPORT: Final = 0.5
"""Seconds of import after which a plugin is told to move heavy imports into its tasks."""

_HOOKS: Final = [name for name in vars(HookSpecs) if not name.startswith("_")]
_UNKNOWN_HOOK: Final = re.compile(r"unknown hook '(\w+)'")
_TAKEN: Final = frozenset({"celery", "callbacks", "tasks", "menos"})
"""Names that stand for something else in queues and task names."""


class State(StrEnum):
    """What became of a plugin."""

    LOADED = "loaded"
    DISABLED = "disabled"
    MISSING = "missing"
    CONFLICT = "conflict"
    INCOMPATIBLE = "incompatible"
    FAILED = "failed"


@dataclass
class Plugin:
    """One plugin and what became of it.

    Attributes:
        name: its entry point's name, which is also its queue.
        state: one of six.
        reason: why it is in that state; a remark for a loaded one, empty if there is none.
        distribution: the package that brings it.
        version: that package's version.
        tasks: the names of its tasks.
        hooks: the names of the hooks that it implements.
        import_seconds: how long its import took.
        settings: the settings classes that it declared.
    """

    name: str
    state: State = State.LOADED
    reason: str = ""
    distribution: str = ""
    version: str = ""
    tasks: list[str] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    import_seconds: float = 0.0
    settings: list[type] = field(default_factory=list)

    @property
    def settings_prefix(self) -> str:
        """What its environment variables begin with."""
        return f"MENOS_{self.name.upper().replace('-', '_')}_"

    def take_out(self, state: State, reason: str) -> None:
        """Note why it does not serve."""
        self.state, self.reason, self.tasks = state, reason, []

    def as_json(self) -> dict[str, Any]:
        """What ``menos-bus plugins --json`` prints of a plugin."""
        return {
            "name": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "distribution": self.distribution,
            "version": self.version,
            "queue": self.name if self.state is State.LOADED else None,
            "tasks": self.tasks,
            "hooks": self.hooks,
            "import_seconds": round(self.import_seconds, 3),
        }


@dataclass
class Declared:
    """All that the loaded plugins of one bus have declared.

    Attributes:
        hooks: their implementations.
        tasks: their tasks.
        quotas: their quotas.
        extensions: what they offer to each other.
        newer: the plugins that were installed since, or in another version: a restart loads them.
        plugins: all plugins, also those that declare nothing since they are not loaded.
    """

    hooks: Hooks = field(init=False)
    tasks: Registry = field(init=False)
    quotas: Quotas = field(init=False)
    extensions: Extensions = field(default_factory=Extensions)
    newer: Callable[[], set[str]] = set
    plugins: list[Plugin] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hooks = Hooks(self.extensions.at)
        self.quotas = Quotas(self.state_of)
        self.tasks = Registry(self.extensions.at, lambda: self.newer(), self.state_of)

    def state_of(self, plugin: str) -> str | None:
        """The state of a plugin that is not loaded; ``None`` of one that is, or is not there."""
        states = {known.name: known.state for known in self.plugins}
        state = states.get(plugin, State.LOADED)
        return None if state is State.LOADED else state.value

    def remove(self, plugin: str) -> None:
        """Drop whatever a plugin has declared."""
        for part in (self.hooks, self.tasks, self.quotas, self.extensions):
            part.remove(plugin)


class _TakenOut(Exception):
    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


def load_plugins(
    declared: Declared,
    allowed: Sequence[str] | None = None,
    modules: Iterable[ModuleType] | None = None,
) -> list[Plugin]:
    """Load all plugins.

    Args:
        declared: gets what the loaded ones declare.
        allowed: the plugins to load, in this order; ``None`` for all, by name.
        modules: load these modules instead of what is installed (for tests).

    Returns:
        Every plugin that is installed or was asked for, loaded or not. Never raises for a plugin.
    """
    plugins = declared.plugins
    if modules is not None:
        for module in modules:
            plugins.append(Plugin(module.__name__.split(".")[0].removeprefix("menos_")))
            _load(plugins[-1], module, declared)
        return plugins
    points = entry_points(group=ENTRY_POINT_GROUP)
    before = _versions(points, allowed)
    declared.newer = lambda: {
        name
        for name, version in _versions(entry_points(group=ENTRY_POINT_GROUP), allowed).items()
        if before.get(name) != version
    }
    installed: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in points:
        # One distribution can be listed twice, by an editable install and its build folder.
        if all(_source(point) != _source(other) for other in installed[point.name]):
            installed[point.name].append(point)
    order = sorted(installed)
    if allowed is not None:
        order = [*dict.fromkeys(allowed), *(name for name in order if name not in allowed)]
    for name in order:
        plugin = Plugin(name)
        try:
            point = _choose(plugin, installed, allowed)
        except _TakenOut as out:
            plugin.take_out(out.state, out.reason)
        else:
            _load(plugin, point, declared)
        plugins.append(plugin)
    return plugins


def _versions(points: Iterable[EntryPoint], allowed: Sequence[str] | None) -> dict[str, str]:
    """Those of the plugins that may be loaded, with their versions."""
    return {
        point.name: point.dist.version if point.dist else ""
        for point in points
        if allowed is None or point.name in allowed
    }


def _choose(
    plugin: Plugin, installed: Mapping[str, list[EntryPoint]], allowed: Sequence[str] | None
) -> EntryPoint:
    points = installed.get(plugin.name, [])
    if not points:
        fix = did_you_mean(plugin.name, installed) or f": pip install menos-{plugin.name}"
        raise _TakenOut(State.MISSING, f"MENOS_PLUGINS names it, but it is not installed{fix}")
    dist = points[0].dist
    plugin.distribution, plugin.version = (dist.name, dist.version) if dist else ("", "")
    if allowed is not None and plugin.name not in allowed:
        raise _TakenOut(State.DISABLED, "MENOS_PLUGINS does not name it")
    if plugin.name in _TAKEN:
        raise _TakenOut(State.FAILED, f"{plugin.name!r} is the bus's own word: rename the plugin")
    if len(points) > 1:
        names = " and ".join(sorted(_source(point)[0] for point in points))
        raise _TakenOut(State.CONFLICT, f"{names} both bring a plugin of this name: remove one")
    if dist is not None:
        _check_compatible(dist)
    return points[0]


def _source(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name if point.dist else "?", point.value)


def _check_compatible(dist: Distribution) -> None:
    for text in dist.requires or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != "menos-bus":
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(VERSION, prereleases=True):
            raise _TakenOut(
                State.INCOMPATIBLE,
                f"{dist.name} {dist.version} needs menos-bus{requirement.specifier}, "
                f"this is {VERSION}: install versions that fit together",
            )


def _load(plugin: Plugin, source: EntryPoint | ModuleType, declared: Declared) -> Plugin:
    hooks = declared.hooks
    try:
        module = source if isinstance(source, ModuleType) else _import(plugin, source)
        hooks.add(plugin.name, module)
        plugin.hooks = hooks.implemented_by(plugin.name)
        if not plugin.hooks:
            plugin.reason = (
                f"{module.__name__} implements no hook: mark its functions with @hookimpl"
            )
        hooks.register_settings(plugin.name, lambda cls: _add_settings(plugin, cls))
        registrar = Registrar(plugin.name)
        hooks.register_tasks(plugin.name, registrar)
        declared.tasks.add(registrar.tasks)
        plugin.tasks = [task.name for task in registrar.tasks]
        quotas: list[Any] = []
        hooks.register_quotas(plugin.name, quotas.append)
        declared.quotas.add(plugin.name, quotas)
        extensions: list[tuple[str, Any]] = []
        hooks.register_extensions(
            plugin.name, lambda point, extension: extensions.append((point, extension))
        )
        declared.extensions.add(plugin.name, extensions)
    except NameTaken as error:
        plugin.take_out(State.CONFLICT, error.message)
        declared.remove(plugin.name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises, the others go on
        plugin.take_out(State.FAILED, _say(error))
        declared.remove(plugin.name)
    return plugin


def _import(plugin: Plugin, point: EntryPoint) -> ModuleType:
    started = time.perf_counter()
    try:
        module = importlib.import_module(point.module)
    except (Exception, SystemExit) as error:
        raise PluginError(f"import of {point.module} failed: {_say(error)}") from error
    finally:
        plugin.import_seconds = time.perf_counter() - started
    if plugin.import_seconds > SLOW_IMPORT:
        plugin.reason = (
            f"its import took {plugin.import_seconds:.1f} s and slows every command down: "
            "import heavy libraries inside the tasks"
        )
    return module


def _add_settings(plugin: Plugin, settings: type) -> None:
    wanted = plugin.settings_prefix
    prefix = getattr(settings, "model_config", {}).get("env_prefix", "")
    if not prefix.startswith(wanted):
        raise PluginError(f"settings {settings.__name__}: env_prefix must be {wanted!r}")
    try:
        settings()
    except ValidationError as error:
        raise PluginError(f"settings: {wrong_variables(error, prefix)}") from error
    plugin.settings.append(settings)


def _say(error: BaseException) -> str:
    if isinstance(error, PluginError):
        return error.message
    if isinstance(error, pluggy.PluginValidationError):
        said = str(error.args[0] if error.args else error)
        unknown = _UNKNOWN_HOOK.match(said)
        return said if unknown is None else unknown[0] + did_you_mean(unknown[1], _HOOKS)
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {error}"
