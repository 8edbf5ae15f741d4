"""Listing plugins and tasks imports nothing heavy."""

import os
import subprocess
import sys

import pytest

HEAVY = [
    "celery.app",
    "kombu",
    "httpx",
    "redis",
    "rich",
    "tornado",
    "flower",
    "numpy",
    "surrealdb",
    "openvino",
    "tokenizers",
]

LISTING = """
import sys
from menos_bus import Bus

bus = Bus()
[plugin.as_json() for plugin in bus.plugins]
[task.as_json() for task in bus.registry.values()]
assert "hello.greet" in bus.registry, [(p.name, p.state, p.reason) for p in bus.plugins]
print(*sys.modules, sep="\\n")
"""

COMMAND = """
import sys
from menos_bus.cli.main import main

main([sys.argv[1], "--json"], standalone_mode=False)
print(*sys.modules, sep="\\n", file=sys.stderr)
"""


@pytest.fixture
def environment(site, greeter):
    site.install("hello", greeter)
    return {**os.environ, "PYTHONPATH": str(site.folder)}


def python(*arguments, environment):
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def test_listing_plugins_and_tasks_imports_no_heavy_library(environment):
    ran = python("-c", LISTING, environment=environment)

    assert ran.returncode == 0, ran.stderr
    imported = set(ran.stdout.split())
    assert "menos_bus.plugins.loader" in imported
    assert imported.intersection(HEAVY) == set()


@pytest.mark.parametrize("command", ["plugins", "tasks"])
def test_the_commands_that_list_import_no_heavy_library_either(environment, command):
    ran = python("-c", COMMAND, command, environment=environment)

    assert "hello.greet" in ran.stdout
    imported = set(ran.stderr.split())
    assert "menos_bus.cli.inspect" in imported
    assert imported.intersection(HEAVY) == set()


def test_an_application_is_made_without_a_client_of_http(environment):
    code = "import sys; from menos_bus import Bus; Bus().app; print(*sys.modules, sep='\\n')"

    ran = python("-c", code, environment=environment)

    assert "celery.app" in ran.stdout
    assert {"httpx", "rich"}.isdisjoint(ran.stdout.split())
