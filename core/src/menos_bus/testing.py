"""For the tests of plugins: run a task with the bus's validation and error policy, no broker."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from menos_bus.bus import Bus
from menos_bus.errors import PluginError, TaskFailed
from menos_bus.plugins.loader import State
from menos_bus.settings import BusSettings


class TestBus(Bus):
    """A bus of just these plugin modules, whose tasks run where they are called.

    Example::

        from menos_bus.testing import TestBus
        import menos_hello

        def test_greets():
            assert TestBus(menos_hello).call("hello.greet", "Ada") == "hello Ada "

    Args:
        modules: the plugin modules; ``menos_hello`` or ``menos_hello.plugin`` is plugin ``hello``.

    Raises:
        PluginError: a module did not load; says why.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    def __init__(self, *modules: ModuleType) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="menos-test-")
        home = Path(self._folder.name)
        # Embedded, also in the shell of somebody whose own bus is a fleet.
        settings = BusSettings.load(home=home, broker_url=None, result_backend=None)
        super().__init__(settings, modules)
        for plugin in self.plugins:
            if plugin.state is not State.LOADED:
                raise PluginError(f"plugin {plugin.name!r} is {plugin.state}: {plugin.reason}")

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Run a task here and now; its retries follow at once, without their waits.

        Returns:
            The task's result in JSON types, as a caller at a door gets it.

        Raises:
            InvalidCall: an argument is wrong; names it.
            TaskFailed: the task failed for good; has ``code``, ``message`` and ``tries``.
        """
        result = self.app.run_in_place(name, args, kwargs)
        if result.successful():
            return result.result
        if isinstance(result.result, TaskFailed):
            raise result.result
        raise TaskFailed(str(result.result), result.state.lower())
