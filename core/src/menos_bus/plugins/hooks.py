"""One typed caller per hook. ``pm.hook`` is touched nowhere else, so each error policy is here.

Implementations run in the order of their plugins (see :mod:`menos_bus.plugins.loader`), whatever
pluggy's own last-in-first-out order would be.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import pluggy

from menos_bus.plugins.hookspecs import ENTRY_POINT_GROUP, Check, HookSpecs, Proceed, Wait

logger = logging.getLogger(__name__)

UNDECIDED_WAIT: Final = 60.0
"""Seconds after which a task asks again when an ``acquire_quota`` implementation raised."""


class Hooks:
    """The hooks of one bus's plugins.

    Args:
        extensions: what the plugins have registered at a point, by name.
    """

    def __init__(self, extensions: Callable[[str], dict[str, Any]]) -> None:
        self._extensions = extensions
        self._manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
        self._manager.add_hookspecs(HookSpecs)
        self._names: list[str] = []

    def add(self, name: str, module: Any) -> None:
        """Take a plugin's implementations.

        Raises:
            pluggy.PluginValidationError: a hook's name or arguments are not those of a hookspec.
        """
        self._manager.register(module, name=name)
        self._names.append(name)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError:
            self.remove(name)
            raise

    def remove(self, name: str) -> None:
        """Drop a plugin's implementations."""
        if name in self._names:
            self._manager.unregister(name=name)
            self._names.remove(name)

    def implemented_by(self, name: str) -> list[str]:
        """The names of the hooks that a plugin implements."""
        plugin = self._manager.get_plugin(name)
        callers = (self._manager.get_hookcallers(plugin) or []) if plugin is not None else []
        return sorted(caller.name for caller in callers)

    # declaration: the caller (the loader, the bus) turns an exception into the plugin's state

    def register_settings(self, plugin: str, register: Callable[[type], None]) -> None:
        """Ask one plugin for its settings classes."""
        self._one(plugin, "register_settings", register=register)

    def register_tasks(self, plugin: str, register: Callable[..., None]) -> None:
        """Ask one plugin for its tasks."""
        self._one(plugin, "register_tasks", register=register)

    def register_quotas(self, plugin: str, register: Callable[[Any], None]) -> None:
        """Ask one plugin for its quotas."""
        self._one(plugin, "register_quotas", register=register)

    def register_extensions(self, plugin: str, register: Callable[[str, Any], None]) -> None:
        """Ask one plugin for what it offers to others."""
        self._one(plugin, "register_extensions", register=register)

    def configure_app(self, plugin: str, app: Any) -> None:
        """Let one plugin adjust the Celery application."""
        self._one(plugin, "configure_app", app=app)

    # decision

    def acquire_quota(self, *, task: str, task_id: str, priority: bool) -> Proceed | Wait | None:
        """Ask whether a task may run now; an implementation that raises makes it wait."""
        told = {"task": task, "task_id": task_id, "priority": priority}
        for plugin in self._names:
            try:
                answer = self._one(plugin, "acquire_quota", **told)
            except (Exception, SystemExit) as error:
                logger.exception("acquire_quota of plugin %r failed", plugin)
                return Wait(UNDECIDED_WAIT, f"acquire_quota of plugin {plugin!r} failed: {error}")
            if isinstance(answer, (Proceed, Wait)):
                return answer
            if answer is not None:
                reason = f"acquire_quota of plugin {plugin!r} answered {answer!r}"
                logger.error("%s: that is neither Proceed, Wait nor None", reason)
                return Wait(UNDECIDED_WAIT, reason)
        return None

    def deliver_callback(self, *, url: str, body: bytes, headers: dict[str, str]) -> int | None:
        """Let a plugin send a callback; raises what an implementation raises."""
        for plugin in self._names:
            status = self._one(plugin, "deliver_callback", url=url, body=body, headers=headers)
            if status is not None:
                return int(status)
        return None

    # notification

    def release_quota(self, **told: Any) -> None:
        """Tell that a task will not use its quota any more."""
        self._tell("release_quota", told)

    def task_finished(self, **told: Any) -> None:
        """Tell that a task reached a terminal state."""
        self._tell("task_finished", told)

    def check_health(self) -> Iterator[Check]:
        """Collect every plugin's checks; one that raises becomes a failed check."""
        for plugin in self._names:
            try:
                for check in self._one(plugin, "check_health", extensions=self._extensions) or ():
                    if not isinstance(check, Check):
                        raise TypeError(f"{check!r} is no Check")
                    yield check
            except (Exception, SystemExit) as error:  # noqa: BLE001 - reported below
                yield Check(
                    plugin,
                    ok=False,
                    message=f"its check_health hook failed: {type(error).__name__}: {error}",
                    fix=f"report it to the authors of menos-{plugin}",
                )

    def _tell(self, hook: str, told: dict[str, Any]) -> None:
        for plugin in self._names:
            try:
                self._one(plugin, hook, **told)
            except (Exception, SystemExit):
                logger.exception("%s of plugin %r failed", hook, plugin)

    def _one(self, plugin: str, hook: str, **arguments: Any) -> Any:
        others = [self._manager.get_plugin(name) for name in self._names if name != plugin]
        caller = self._manager.subset_hook_caller(hook, remove_plugins=others)
        answer = caller(**arguments)
        if isinstance(answer, list):
            return answer[0] if answer else None
        return answer
