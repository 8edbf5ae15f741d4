"""A real bus for one run: ``menos-bus up`` in a process of its own, reached through its door."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx

SEARCH = "tasks.semantic_search"
_PATIENCE = 600.0


class Failed(Exception):
    """A call was refused, or did not succeed."""


class BenchBus:
    """A running bus. Thread-safe."""

    def __init__(self, url: str, login: tuple[str, str], process: subprocess.Popen[str]) -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._http = httpx.Client(
            base_url=url, auth=login, timeout=_PATIENCE, trust_env=False, limits=limits
        )
        self._process = process

    def call(self, task: str, *args: Any, **kwargs: Any) -> Any:
        """Submit a call, wait for its end, return its result."""
        body = {"args": args, "kwargs": kwargs, "timeout": _PATIENCE}
        answer = self._http.post(f"/api/task/apply/{task}", json=body)
        outcome = answer.json()
        if answer.status_code != 200 or outcome["state"] != "SUCCESS":
            raise Failed(f"{task}: {outcome.get('error', outcome)}")
        return outcome["result"]

    def round_trip(self, **how: Any) -> float:
        """Milliseconds of a call that has little to do: a search in the empty vault."""
        return median(milliseconds(self.call, SEARCH, "nothing", **how) for _ in range(50))

    def memory(self) -> float:
        """MiB of memory that the process holds now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def processor_seconds(self) -> float:
        """Seconds of processor time that the process has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self._http.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)


@contextmanager
def running_bus(home: Path, **settings: str) -> Iterator[BenchBus]:
    """Start a bus on a data folder with these variables and no others; it is stopped at the end."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MENOS_")}
    env |= {"MENOS_HOME": str(home), "MENOS_FLOWER_PORT": "0", "MENOS_API_PORT": "0"}
    env |= settings
    command = [Path(sys.executable).with_name("menos-bus"), "up", "--json"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            bus = BenchBus(told["url"], (told["user"], told["password"]), process)
            yield bus
            bus.stop()
        finally:
            if process.poll() is None:
                process.kill()


def milliseconds(call: Callable[..., object], *args: Any, **kwargs: Any) -> float:
    """How long a call took."""
    started = time.perf_counter()
    call(*args, **kwargs)
    return (time.perf_counter() - started) * 1000
