"""A real bus as a process, and the ways to reach it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from uuid import uuid4

import httpx
import pytest

from forked import MENOS_BUS, Command

ROOT = Path(__file__).resolve().parents[1]


def poll(condition: Callable[[], Any], seconds: float = 60, what: str = "the condition") -> Any:
    """Wait until ``condition`` is true, and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} was not met within {seconds} s")
        time.sleep(0.05)
    return value


@dataclass
class RunningBus:
    """A ``menos-bus up`` process and its door."""

    home: Path
    env: dict[str, str]
    process: Command | subprocess.Popen[bytes] = field(repr=False)
    output: IO[str] = field(repr=False)
    url: str = ""
    user: str = ""
    password: str = ""

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("auth", (self.user, self.password))
        # There is no TLS to verify, and what could verify it would be read at each request.
        return httpx.request(
            method, self.url + path, timeout=60, trust_env=False, verify=False, **options
        )

    def submit(self, task: str, *args: Any, **kwargs: Any) -> str:
        answer = self.request(
            "POST",
            f"/api/task/async-apply/{task}",
            content=json.dumps({"args": args, "kwargs": kwargs}),
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["task-id"])

    def submit_its_death(self, task: str, *args: Any, **kwargs: Any) -> str:
        """Submit a call that kills the bus, maybe before it can answer."""
        task_id = uuid4().hex
        body = {"args": args, "kwargs": kwargs, "task_id": task_id}
        with suppress(httpx.TransportError):
            self.request("POST", f"/api/task/async-apply/{task}", json=body)
        self.process.wait(30)
        return task_id

    def outcome(self, task_id: str, *, timeout: float = 0) -> dict[str, Any]:
        answer = self.request("GET", f"/api/task/result/{task_id}?timeout={timeout}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def result(self, task: str, *args: Any, **kwargs: Any) -> Any:
        outcome = self.outcome(self.submit(task, *args, **kwargs), timeout=120)
        assert outcome["state"] == "SUCCESS", outcome
        return outcome["result"]

    def cli(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return run_cli(*words, env=self.env, stdin=stdin)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        """End it if it runs, for a test that is through with it."""
        if self.process.poll() is None:
            self.kill()
        self.output.close()


def start_bus(env: dict[str, str], *, forked: bool = True, stderr: int = 2) -> RunningBus:
    """Start ``menos-bus up`` with these settings; it serves when this returns."""
    read, write = os.pipe()
    process: Command | subprocess.Popen[bytes]
    if forked:
        process = Command("up", "--json", env=env, stdout=write, stderr=stderr)
    else:
        process = subprocess.Popen(
            [MENOS_BUS, "up", "--json"], env=env, stdout=write, stderr=stderr
        )
    os.close(write)
    bus = RunningBus(Path(env["MENOS_HOME"]), env, process, os.fdopen(read))
    line = bus.output.readline()
    if not line:
        bus.close()
        pytest.fail(f"menos-bus up ended with {process.wait(10)}")
    told = json.loads(line)
    bus.url, bus.user, bus.password = told["url"], told["user"], told["password"]
    return bus


def install_plugin(
    env: dict[str, str],
    sites: Path,
    name: str,
    source: str,
    *,
    version: str = "1.0",
    requires: str = "menos-bus>=0.1,<0.2",
    distribution: str | None = None,
) -> Path:
    """Install a plugin made of one module, for processes with this environment only.

    A folder with the module and its ``dist-info`` is what pip would have left. These processes load
    no other plugins than those installed so, since the ones of the vault take long to import.
    """
    distribution = distribution or f"menos-{name}"
    module = distribution.replace("-", "_")
    site = sites / distribution
    info = site / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        f"Requires-Dist: {requires}\n"
    )
    (info / "entry_points.txt").write_text(f"[menos_bus]\n{name} = {module}\n")
    known = env.get("PYTHONPATH")
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), known]))
    env["MENOS_PLUGINS"] = ",".join(filter(None, [env.get("MENOS_PLUGINS"), name]))
    return site


def clean_environment(home: Path) -> dict[str, str]:
    """The environment without any MENOS_ setting, and with a data folder of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MENOS_")}
    env["MENOS_HOME"] = str(home)
    env["MENOS_FLOWER_PORT"] = env["MENOS_API_PORT"] = "0"
    return env


def run_cli(
    *words: str, env: dict[str, str], stdin: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``menos-bus`` as a command."""
    with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        given.write(stdin or "")
        given.seek(0)
        streams = {"stdin": given.fileno(), "stdout": out.fileno(), "stderr": err.fileno()}
        command = Command(*words, env=env, cwd=cwd, **streams)
        try:
            code = command.wait(120)
        finally:
            command.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command.args, code, out.read(), err.read())


PROBE = '''
import os, time
from pathlib import Path
from menos_bus import Permanent, Retryable, fan_out, hookimpl, progress

@hookimpl
def register_tasks(register):
    for function in (echo, work, steps, note, refuse, die, panic, stubborn):
        register(function)
    for function in (total, chorus, hand_over, gather):
        register(function)
    register(look_up, dead_letter=False)
    register(flaky, max_retries=2)
    register(broken, max_retries=1)

def echo(text: str, times: int = 1) -> str:
    """Say it again."""
    return text * times

def work(marker: str, until: str) -> str:
    """Note each start in a file, then run until another file exists."""
    with open(marker, "a") as file:
        file.write("started\\n")
    while not Path(until).exists():
        time.sleep(0.02)
    return "worked"

def steps(until: str) -> int:
    """Say how far it is, then wait for a file."""
    progress("counting", 3, 7)
    while not Path(until).exists():
        time.sleep(0.02)
    return 7

def note(file: str, word: str) -> None:
    """Write a word into a file."""
    with open(file, "a") as opened:
        opened.write(word + "\\n")

def refuse() -> None:
    raise Permanent("that will never do", code="never")

def look_up(word: str) -> str:
    """Only reads."""
    raise Permanent(f"there is no {word}", code="no_word")

def broken() -> None:
    raise KeyError("oops")

def flaky(marker: str) -> None:
    with open(marker, "a") as file:
        file.write("tried\\n")
    raise Retryable("not yet", code="busy", after=1)

def die(marker: str) -> None:
    """Take the whole process down, as a crashing library does."""
    with open(marker, "a") as file:
        file.write("died\\n")
    os.kill(os.getpid(), 9)

class Panic(BaseException):
    """What some native libraries raise."""

def panic() -> None:
    raise Panic("native trouble")

def stubborn() -> None:
    """Does not end when it is told to."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            time.sleep(60)
        except BaseException:
            pass

def total(numbers: list[int]) -> int:
    return sum(numbers)

def chorus() -> str:
    """A chord: its parts run side by side, then their results are added up."""
    from celery import chord, current_task

    tasks = current_task.app.tasks
    parts = [tasks["probe.total"].s([n]) for n in range(3)]
    return chord(parts)(tasks["probe.total"].s()).id

def hand_over(text: str) -> str:
    """Let another task end the call in its place."""
    from celery import current_task

    return current_task.replace(current_task.app.tasks["probe.echo"].s(text))

def gather(markers: list[str], until: str) -> list[str]:
    """Work on each in a call of its own, and wait for all of them."""
    calls = {marker: {"marker": marker, "until": until} for marker in markers}
    ended = fan_out("probe.work", calls, stage="gathering")
    return [outcome.result for outcome in ended.values()]
'''
