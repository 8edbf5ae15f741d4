"""What the core's unit tests share: plugins made on the spot, buses on a folder of their own."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from celery.app.trace import build_tracer

from menos_bus import Bus, BusSettings, hookimpl


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path_factory):
    """Neither the caller's settings nor its folder can change what a test sees."""
    for name in [name for name in os.environ if name.upper().startswith("MENOS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture
def make_plugin():
    """Make a plugin module: its name, the functions to register, their options, more hooks."""

    def make(plugin, /, *functions, hooks=None, **options):
        module = ModuleType(f"menos_{plugin}")

        def register_tasks(register):
            for function in functions:
                register(function, **options)

        module.register_tasks = hookimpl(register_tasks)
        for hook, function in (hooks or {}).items():
            setattr(module, hook, hookimpl(function))
        return module

    return make


@pytest.fixture
def make_bus(tmp_path):
    """Make a bus of some plugin modules, embedded, on a folder of its own."""

    def make(*modules, **settings):
        return Bus(BusSettings.load(**{"home": tmp_path / "home", **settings}), modules)

    return make


@pytest.fixture
def run_as_worker():
    """Run an accepted call just as a worker does with its message, and give its outcome.

    What the task sends, itself again included, goes to the queues in memory.
    """

    def run(bus, task_id):
        message = bus.app.ledger.find(task_id).message
        _, kwargs, embed = message["body"]
        headers = message["headers"]
        request = {
            **headers,
            **embed,
            "args": (),
            "kwargs": kwargs,
            "called_directly": False,
            "is_eager": False,
            "delivery_info": {},
        }
        name = headers["task"]
        tracer = build_tracer(name, bus.app.tasks[name], app=bus.app)
        tracer(task_id, (), kwargs, request)
        return bus.outcome(task_id)

    return run


class Site:
    """A folder on ``sys.path`` with fake installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def install(
        self,
        plugin: str,
        source: str | None = "",
        *,
        distribution: str | None = None,
        version: str = "1.0",
        requires: str = "",
        group: str = "menos_bus",
    ) -> str:
        """Lay down a ``*.dist-info`` and, unless ``source`` is None, the module it points to."""
        distribution = distribution or f"menos-{plugin}"
        module = distribution.replace("-", "_") + "_module"
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{plugin} = {module}\n")
        if source is not None:
            (self.folder / f"{module}.py").write_text(source)
        self.modules.append(module)
        importlib.invalidate_caches()
        return module


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty :class:`Site`; what it brought is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    made = Site(folder)
    yield made
    for name in made.modules:
        sys.modules.pop(name, None)


PLUGIN = '''
from menos_bus import hookimpl

@hookimpl
def register_tasks(register):
    register(greet)

def greet(who: str, times: int = 1) -> str:
    """Greet somebody."""
    return f"hello {who} " * times
'''


@pytest.fixture
def greeter():
    """The source of a plugin with one task, ``greet``."""
    return PLUGIN
