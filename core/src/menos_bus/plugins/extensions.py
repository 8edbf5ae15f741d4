"""Extensions: what one plugin offers to another, without either importing the other."""

from __future__ import annotations

import re
from typing import Any, Final

from menos_bus.errors import NameTaken, PluginError

_POINT: Final = re.compile(r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_]*")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


class Extensions:
    """All extensions of the loaded plugins: point → name → object."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, tuple[str, Any]]] = {}

    def add(self, plugin: str, extensions: list[tuple[str, Any]]) -> None:
        """Take all extensions of one plugin, or none.

        Args:
            plugin: who brings them.
            extensions: pairs of point and object.

        Raises:
            PluginError: a point or a name cannot be, or is given twice.
            NameTaken: another plugin has the name at that point; names it.
        """
        new: dict[tuple[str, str], Any] = {}
        for point, extension in extensions:
            if not isinstance(point, str) or not _POINT.fullmatch(point):
                raise PluginError(
                    f"register_extensions: point {point!r} must look like 'plugin.word'"
                )
            name = getattr(extension, "name", None)
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise PluginError(
                    f"register_extensions: {extension!r} for {point} needs an attribute `name`, "
                    "a word by which settings and calls choose it"
                )
            if (other := self._found.get(point, {}).get(name)) is not None:
                raise NameTaken(f"{point} {name!r} is already registered by {other[0]!r}")
            if (point, name) in new:
                raise PluginError(f"registers {point} {name!r} twice")
            new[point, name] = extension
        for (point, name), extension in new.items():
            self._found.setdefault(point, {})[name] = (plugin, extension)

    def remove(self, plugin: str) -> None:
        """Drop all extensions of a plugin."""
        for named in self._found.values():
            for name in [name for name, (owner, _) in named.items() if owner == plugin]:
                del named[name]

    def at(self, point: str) -> dict[str, Any]:
        """The extensions of a point by name, in the order of the plugins that bring them."""
        return {name: found for name, (_, found) in self._found.get(point, {}).items()}


def extensions(point: str) -> dict[str, Any]:
    """What plugins have registered at a point; see the hook ``register_extensions``.

    To be called by the plugin that the point belongs to, inside a running task. Outside a worker
    there are none, so a task function can be called as plain Python.

    Args:
        point: such as ``"youtube.transcript_source"``.

    Returns:
        Name → object.
    """
    from celery import current_task

    return current_task.app.extensions.at(point) if current_task else {}
