"""Broken plugins on a host: each is shown with its state and reason, and harms nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from running import run_cli

GOOD = """
from menos_bus import hookimpl

@hookimpl
def register_tasks(register):
    register(hello)

def hello() -> str:
    return "here"
"""

BROKEN = {
    "importer": ("import a_module_that_is_not_there\n", "failed", "a_module_that_is_not_there"),
    "exiter": ("import sys\nsys.exit(3)\n", "failed", "sys.exit(3)"),
    "hooker": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_taskz(register): ...\n",
        "failed",
        "register_taskz",
    ),
    "thief": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_tasks(register):\n"
        "    register(hello, name='good.hello')\ndef hello() -> str: ...\n",
        "conflict",
        "'good'",
    ),
    "usurper": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_tasks(register):\n"
        "    register(hello, name='tasks.semantic_search')\ndef hello() -> str: ...\n",
        "conflict",
        "'search'",
    ),
    "sleeper": ("import time\ntime.sleep(0.7)\n" + GOOD, "loaded", "import took"),
}
HEAVY = (
    "celery.app.base",
    "flower",
    "httpx",
    "kombu",
    "numpy",
    "openvino",
    "redis",
    "requests",
    "rich",
    "semantic_text_splitter",
    "surrealdb",
    "tokenizers",
    "tornado",
    "youtube_transcript_api",
)


@pytest.fixture
def broken(install, clean_env):
    install("good", GOOD)
    for name, (source, _, _) in BROKEN.items():
        install(name, source)
    install("stranger", GOOD, requires="menos-bus>=9")
    clean_env["MENOS_PLUGINS"] = ",".join(["good", *BROKEN, "stranger", "absent"])
    return clean_env


def test_each_is_listed_with_its_state_and_reason(broken):
    listed = run_cli("plugins", "--json", env=broken)

    assert listed.returncode == 0, listed.stderr
    plugins = {plugin["name"]: plugin for plugin in json.loads(listed.stdout)}
    for name, (_, state, reason) in BROKEN.items():
        assert plugins[name]["state"] == state, plugins[name]
        assert reason in plugins[name]["reason"]
    assert plugins["good"]["state"] == "loaded"
    assert plugins["stranger"]["state"] == "incompatible"
    assert plugins["absent"]["state"] == "missing"
    assert plugins["content"]["state"] == "disabled"


def test_doctor_names_each_with_something_to_do_and_exits_1(broken):
    checked = run_cli("doctor", "--json", env=broken)

    assert checked.returncode == 1
    checks = json.loads(checked.stdout)["checks"]
    said = {check["name"]: check["message"] for check in checks}
    assert said["plugin sleeper"] == "loaded, 1 task on queue 'sleeper'"
    assert "import took" in said["plugin sleeper, import"]
    bad = {check["name"]: check for check in checks if not check["ok"]}
    names = [*(n for n, (_, state, _) in BROKEN.items() if state != "loaded"), "stranger", "absent"]
    assert set(bad) == {f"plugin {name}" for name in names}
    assert all(check["fix"] for check in bad.values())


def test_the_others_are_served(broken, start):
    bus = start()

    assert bus.result("good.hello") == "here"
    assert bus.result("sleeper.hello") == "here"
    assert bus.request("GET", "/api/task/types").json() == {
        "task-types": ["good.hello", "sleeper.hello"]
    }


def test_listing_the_plugins_of_this_repository_imports_nothing_heavy(clean_env):
    code = (
        "import json, sys\n"
        "from menos_bus import Bus\n"
        "states = {p.name: str(p.state) for p in Bus().plugins}\n"
        "list(spec.as_json() for spec in Bus().registry.values())\n"
        f"print(json.dumps([states, [m for m in {HEAVY!r} if m in sys.modules]]))\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", code], env=clean_env, capture_output=True, text=True, check=True
    )

    states, heavy = json.loads(said.stdout)
    assert {states[name] for name in ("youtube", "content", "search")} == {"loaded"}
    assert heavy == []
