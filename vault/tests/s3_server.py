"""A real S3 endpoint: rclone, which serves a folder."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ACCESS_KEY = "testaccess"
SECRET_KEY = "testsecret123"


class S3Server:
    """An endpoint on one port, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        found = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if found is None:
            if os.environ.get("CI") == "true":
                pytest.fail("rclone is not installed")
            pytest.skip("rclone is not installed")
        self.folder.mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [
                *(found, "serve", "s3", "--addr", f"127.0.0.1:{self.port}"),
                *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", str(self.folder)),
            ],
            env={**os.environ, "RCLONE_CONFIG": os.devnull},
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        pytest.fail("rclone did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
