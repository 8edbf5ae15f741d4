"""Real SurrealDB endpoints: embedded engines behind a WebSocket, with sign-in."""

import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from filelock import FileLock

from menos_vault import VaultSettings

ENDPOINT = Path(__file__).with_name("surreal_endpoint.py")
ENGINES = ("engine3", "engine2")
CLIENT_OF_ENGINE_2 = "surrealdb==2.0.0"  # embeds 2.3.10
PASSWORD = "rootsecret"


class SurrealServer:
    """An endpoint on one port, which can be killed and started again."""

    def __init__(self, path: str, packages: Path | None = None) -> None:
        """Choose the engine: the vault's own, or the one in a folder of `packages`."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self.path = path
        self._packages = packages
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self, home: Path, **more: object) -> VaultSettings:
        """Settings of a vault in a database of its own."""
        given = {
            "url": self.url,
            "home": home,
            "cache": home / "cache",
            "username": "root",
            "password": PASSWORD,
            "database": f"t{uuid.uuid4().hex}",
        }
        return VaultSettings.model_validate(given | more)

    def start(self) -> None:
        env = {**os.environ, "PYTHONWARNINGS": "ignore"}
        if self._packages is not None:
            env["PYTHONPATH"] = str(self._packages)
        engine = ENGINES[0] if self._packages is None else ENGINES[1]
        self._process = subprocess.Popen(
            [sys.executable, str(ENDPOINT), engine, str(self.port), self.path, PASSWORD],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(1500):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        pytest.fail("the database server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


def packages_of(engine: str, config: pytest.Config) -> Path | None:
    """Return the folder that an engine is in, installed on the first use; None for the vault's own.

    Without the package the test is skipped, in CI it fails.
    """
    if engine == ENGINES[0]:
        return None
    assert config.cache is not None
    folder = config.cache.mkdir("engines") / CLIENT_OF_ENGINE_2
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    unfinished = folder.with_name(f"{folder.name}.new")
    # Its dependencies are here already, those of the vault's own client.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    done = subprocess.run(
        [*pip, "--target", str(unfinished), CLIENT_OF_ENGINE_2], capture_output=True, text=True
    )
    if done.returncode != 0:
        reason = f"pip cannot install {CLIENT_OF_ENGINE_2}: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    unfinished.rename(folder)
