"""A real SurrealDB endpoint: the embedded engine behind a WebSocket, with sign-in."""

import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from menos_vault import VaultSettings

SERVICE = Path(__file__).parents[2].parent / "shared" / "services" / "surreal_lite.py"
PASSWORD = "rootsecret"


class SurrealServer:
    """An endpoint on one port, which can be killed and started again."""

    def __init__(self, path: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self.path = path
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
        if not SERVICE.is_file():
            pytest.skip("../shared/services/surreal_lite.py is missing")
        self._process = subprocess.Popen(
            [
                *(sys.executable, str(SERVICE), "--bind", f"127.0.0.1:{self.port}"),
                *("--path", self.path, "--user", "root", "--password", PASSWORD),
            ],
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
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
