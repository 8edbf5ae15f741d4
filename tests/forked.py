"""``menos-bus`` as processes that are forked from one which has imported it already.

A run of the tests starts hundreds of them, and most of what each takes would be imports. They are
real processes with an environment, a folder and streams of their own; only ``sitecustomize`` is not
looked for. Nothing of the tests themselves is imported here, since each process imports this.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

MENOS_BUS = Path(sys.executable).with_name("menos-bus")

_PRELOADED = [
    *(f"menos_bus.cli.{name}" for name in ("call", "dead", "inspect", "main", "quota", "run")),
    *(f"menos_bus.doors.{name}" for name in ("client", "embedded", "flower", "http", "worker")),
    *(
        f"menos_{name}.{part}"
        for name in ("content", "search", "youtube")
        for part in ("plugin", "tasks")
    ),
    *(f"celery.{name}" for name in ("app.events", "apps.worker", "loaders.app", "worker.consumer")),
    *(f"celery.concurrency.{name}" for name in ("prefork", "thread")),
    *(f"kombu.transport.{name}" for name in ("memory", "pyamqp")),
    "menos_bus.configure",
    "menos_bus.messages.consumer",
    "menos_bus.outcomes.redis_backend",
    "menos_vault.records.surreal",
    "numpy",
    "pydantic.v1",
    "rich.table",
    "surrealdb",
    "uvicorn.protocols.http.h11_impl",
]
_PROJECT = Path(__file__).parents[1]

context = get_context("forkserver")
context.set_forkserver_preload(_PRELOADED)


class Command:
    """A running ``menos-bus`` command, with what the tests use of :class:`subprocess.Popen`.

    Args:
        words: the command and its arguments.
        env: its whole environment.
        stdin: a file that it reads; by default there is nothing to read.
        stdout: where it writes; by default where the tests do.
        stderr: the same of its messages.
        own_session: whether it leads a session, and so a process group.
    """

    def __init__(
        self,
        *words: str,
        env: Mapping[str, str],
        stdin: int | None = None,
        stdout: int = 1,
        stderr: int = 2,
        cwd: Path | None = None,
        own_session: bool = False,
    ) -> None:
        self.args = [str(MENOS_BUS), *map(str, words)]
        with open(os.devnull) as nothing:
            streams = (nothing.fileno() if stdin is None else stdin, stdout, stderr)
            self._process = context.Process(
                target=_Main(self.args, dict(env), streams, cwd, own_session), daemon=True
            )
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Main:
    """What the forked process does."""

    def __init__(
        self,
        args: list[str],
        env: dict[str, str],
        streams: tuple[int, int, int],
        cwd: Path | None,
        own_session: bool,
    ) -> None:
        self.args, self.env, self.cwd, self.own_session = args, env, cwd, own_session
        self._streams = streams

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_streams": [DupFd(number) for number in self._streams]}

    def __call__(self) -> None:
        # What is imported already is no garbage: looking for some there would copy all of it.
        gc.freeze()
        for number, given in enumerate(self._streams):
            os.dup2(given.detach(), number)
        if self.own_session:
            os.setsid()
        os.environ.clear()
        os.environ.update(self.env)
        if self.cwd is not None:
            os.chdir(self.cwd)
        added = filter(None, self.env.get("PYTHONPATH", "").split(os.pathsep))
        installed = [path for path in sys.path if path and not _is_of_tests(path)]
        sys.path[:] = [str(MENOS_BUS.parent), *added, *installed]
        sys.argv[:] = self.args
        from menos_bus.cli.main import main

        try:
            main()
        finally:
            atexit._run_exitfuncs()


def _is_of_tests(path: str) -> bool:
    return Path(path).name == "tests" and Path(path).is_relative_to(_PROJECT)
