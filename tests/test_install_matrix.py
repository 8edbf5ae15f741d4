"""Each package installs alone, with what it declares, into a fresh virtual environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import wheels
from running import ROOT

PLUGINS = ("content", "search", "youtube")
SETS = [(), *((name,) for name in PLUGINS), PLUGINS]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    try:
        wheels.build(folder)
        wheels.build(folder, ["examples/menos-hello"])
    except (OSError, subprocess.CalledProcessError) as error:
        _unavailable(f"the wheels cannot be built: {error}")
    return folder


def _unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def install(folder: Path, dist: Path, *packages: str) -> Path:
    """A fresh environment with these packages; the path of its ``bin``."""
    subprocess.run(["uv", "venv", "--quiet", folder], check=True)
    ours = [f"--refresh-package={wheel.name.split('-')[0]}" for wheel in dist.glob("*.whl")]
    done = subprocess.run(
        [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            folder,
            "--find-links",
            dist,
            *ours,
            *packages,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode and "error sending request" in done.stderr:
        _unavailable(f"no package registry is reached: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.mark.parametrize("chosen", SETS, ids=lambda chosen: "+".join(chosen) or "core alone")
def test_a_host_serves_exactly_the_plugins_that_are_installed(tmp_path, dist, clean_env, chosen):
    packages = [f"menos-{name}" for name in chosen] or ["menos-bus"]

    bin_ = install(tmp_path / "venv", dist, *packages)
    listed = subprocess.run(
        [bin_ / "menos-bus", "plugins", "--json"],
        env=clean_env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    states = {plugin["name"]: plugin["state"] for plugin in json.loads(listed.stdout)}
    assert states == dict.fromkeys(chosen, "loaded")
    # Every task's module imports with what the packages declare.
    code = "".join(f"import menos_{name}.tasks\n" for name in chosen)
    subprocess.run([bin_ / "python", "-c", code], check=True)


def test_the_vault_installs_alone_and_without_celery(tmp_path, dist):
    bin_ = install(tmp_path / "venv", dist, "menos-vault")
    code = (
        "import importlib.util as u, menos_vault\n"
        "vault = menos_vault.Vault(menos_vault.VaultSettings(home='home'))\n"
        "vault.objects.put('a/b', b'kept')\n"
        "print(vault.objects.get('a/b'), vault.records.counts(), u.find_spec('celery'))"
    )

    said = subprocess.run(
        [bin_ / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert said.stdout == "b'kept' Counts(contents=0, chunks=0) None\n"


def test_a_third_party_plugin_is_served_after_a_restart(tmp_path, dist, clean_env):
    bin_ = install(tmp_path / "venv", dist, "menos-bus[flower]")
    before = _tasks(bin_, clean_env)

    subprocess.run(
        [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            tmp_path / "venv",
            "--refresh-package=menos_hello",
            ROOT / "examples/menos-hello",
        ],
        check=True,
    )

    assert before == []
    assert _tasks(bin_, clean_env) == ["hello.greet"]
    process = subprocess.Popen(
        [bin_ / "menos-bus", "up", "--json"], env=clean_env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert json.loads(process.stdout.readline())["tasks"] == ["hello.greet"]
        called = subprocess.run(
            [bin_ / "menos-bus", "call", "hello.greet", "Ada"],
            env=clean_env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(called.stdout) == "hello Ada "
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _tasks(bin_: Path, env: dict[str, str]) -> list[str]:
    listed = subprocess.run(
        [bin_ / "menos-bus", "tasks", "--json"], env=env, capture_output=True, text=True, check=True
    )
    return [task["name"] for task in json.loads(listed.stdout)]
