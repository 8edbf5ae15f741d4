"""A fleet under load: workers as processes, calls through real doors, and what became of them."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import amqp
import httpx

from faults.services import Rabbit, Redis, free_port
from forked import Command
from menos_bus import Bus, BusError, BusSettings
from running import poll

PLUGIN = '''
import os, time
from pathlib import Path
from menos_bus import Permanent, hookimpl

@hookimpl
def register_tasks(register):
    for function in (work, refuse, poison):
        register(function, bind=True)

def work(task, seconds: float = 0.05) -> str:
    """Has an effect that a second run does not repeat, as every task should."""
    folder = Path(os.environ["FAULTS_FOLDER"])
    with open(folder / "runs", "a") as runs:
        runs.write(task.request.id + "\\n")
    time.sleep(seconds)
    try:
        os.close(os.open(folder / "effects" / task.request.id, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "done before"
    with open(folder / "applied", "a") as applied:
        applied.write(task.request.id + "\\n")
    return "done"

def refuse(task) -> None:
    raise Permanent("never", code="never")

def poison(task) -> None:
    """Kills the process that it runs in, each time."""
    os.kill(os.getpid(), 9)
'''


@dataclass
class Counters:
    """What a scenario ended with; the gate is lost = duplicate effects = non-terminal = 0."""

    attempted: int = 0
    accepted: int = 0
    done: int = 0
    lost: int = 0
    duplicate_effects: int = 0
    non_terminal: int = 0
    extra_runs: int = 0

    def __str__(self) -> str:
        told = (f"{name.replace('_', ' ')} {value}" for name, value in self.__dict__.items())
        return ", ".join(told)

    @property
    def good(self) -> bool:
        return self.lost == self.duplicate_effects == self.non_terminal == 0


@dataclass
class Fleet:
    """A broker, a store, some workers, and the calls that were made."""

    rabbit: Rabbit
    redis: Redis
    folder: Path
    env: dict[str, str]
    seed: int
    accepted: dict[str, str] = field(default_factory=dict)
    """Task id → the state that it must end in."""
    attempted: int = 0
    workers: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "effects").mkdir(parents=True)
        self.env = {
            **self.env,
            "MENOS_BROKER_URL": self.rabbit.url,
            "MENOS_RESULT_BACKEND": self.redis.url,
            "MENOS_PLUGINS": "fault",
            "FAULTS_FOLDER": str(self.folder),
        }
        self.random = random.Random(self.seed)
        self._lock = threading.Lock()
        self.bus = self.door()

    def door(self, **settings: Any) -> Bus:
        """A host of its own, without any plugin."""
        urls = {"broker_url": self.rabbit.url, "result_backend": self.redis.url}
        return Bus(BusSettings.load(**urls, **settings), [])

    # workers

    def start_worker(self, **settings: str) -> Command:
        before = self.consumers()
        with (self.folder / "workers.log").open("ab") as log:
            worker = Command(
                *("worker", "--concurrency", "2"),
                env={**self.env, **settings},
                stdout=log.fileno(),
                stderr=log.fileno(),
                own_session=True,
            )
        self.workers.append(worker)

        def serves() -> bool:
            # The broker may have counted one that was killed a moment ago.
            nonlocal before
            now = self.consumers()
            before = min(before, now)
            return now > before

        poll(serves, 60, "a worker")
        return worker

    def start_door(self, door: str, **settings: str) -> str:
        """``menos-bus flower`` or ``menos-bus api`` as a process; gives its URL."""
        port = free_port()
        with (self.folder / "workers.log").open("ab") as log:
            process = Command(
                *(door, "--port", str(port)),
                env={**self.env, **settings},
                stdout=log.fileno(),
                stderr=log.fileno(),
                own_session=True,
            )
        self.workers.append(process)
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            try:
                return httpx.get(url, trust_env=False, verify=False).status_code < 500
            except httpx.TransportError:
                return False

        poll(answers, 60, door)
        return url

    def post(self, url: str, body: dict[str, Any]) -> None:
        """One call at an HTTP door."""
        self.attempted += 1
        answer = httpx.post(url, json=body, auth=("caller", "caller-pw"), timeout=30, verify=False)
        assert answer.is_success, answer.text
        told = answer.json()
        self.accepted[told.get("task-id") or told["task_id"]] = "SUCCESS"

    def consumers(self) -> int:
        try:
            with self.rabbit.connect() as connection:
                declared = connection.channel().queue_declare("fault", passive=True)
                return int(declared.consumer_count)
        except (OSError, amqp.AMQPError):
            return 0

    def children(self, worker: Command) -> list[int]:
        told = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text()
        return [int(pid) for pid in told.split()]

    def kill(self, worker: Command) -> None:
        """The whole worker at once, children too."""
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(20)

    def stop(self) -> None:
        for worker in self.workers:
            self.kill(worker)
        with suppress(Exception):
            self.bus.app.close()

    # calls

    def submit(self, task: str = "fault.work", state: str = "SUCCESS", **kwargs: Any) -> str | None:
        """One call at the Python door; ``None`` if it was refused."""
        with self._lock:
            self.attempted += 1
        try:
            task_id = self.bus.submit(task, (), kwargs)
        except BusError:
            return None
        with self._lock:
            self.accepted[task_id] = state
        return task_id

    def publish(self, connection: Any) -> None:
        """One call at the AMQP door, as n8n sends it, but confirmed."""
        with self._lock:
            self.attempted += 1
        task_id = str(uuid4())
        message = amqp.Message(json.dumps({"id": task_id, "task": "fault.work"}))
        connection.channel(1).basic_publish_confirm(
            message, exchange="", routing_key="fault", mandatory=True, confirm_timeout=10
        )
        with self._lock:
            self.accepted[task_id] = "SUCCESS"

    @contextmanager
    def load(self, pause: float = 0.06) -> Iterator[None]:
        """Steady calls from two threads, one at each door, while the block runs."""
        over = threading.Event()
        threads = [
            threading.Thread(target=self._call, args=(over, pause)),
            threading.Thread(target=self._send, args=(over, pause)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(60)

    def _call(self, over: threading.Event, pause: float) -> None:
        while not over.wait(pause):
            if self.submit() is None:
                over.wait(0.5)

    def _send(self, over: threading.Event, pause: float) -> None:
        connection = None
        while not over.wait(pause):
            try:
                if connection is None:
                    connection = self.rabbit.connect()
                    connection.connect()
                self.publish(connection)
            except (OSError, amqp.AMQPError):
                with suppress(OSError, amqp.AMQPError):
                    if connection is not None:
                        connection.collect()
                connection = None
                over.wait(0.5)

    # the end

    def state(self, task_id: str) -> str:
        try:
            outcome = self.bus.outcome(task_id)
        except BusError:
            return "unknown"
        return outcome.state if outcome.ready else "waits"

    def settle(self, seconds: float = 90) -> Counters:
        """Wait until everything accepted has ended, and count."""
        deadline = time.monotonic() + seconds
        open_calls = list(self.accepted)
        while open_calls and time.monotonic() < deadline:
            open_calls = [i for i in open_calls if self.state(i) in ("waits", "unknown")]
            if open_calls:
                time.sleep(0.3)
        states = {task_id: self.state(task_id) for task_id in self.accepted}
        effects = {path.name for path in (self.folder / "effects").iterdir()}
        applied, runs = self._lines("applied"), self._lines("runs")
        lost = [
            task_id
            for task_id, wanted in self.accepted.items()
            if states[task_id] == "unknown"
            or (states[task_id] not in ("waits", wanted))
            or (states[task_id] == "SUCCESS" and task_id not in effects)
        ]
        return Counters(
            attempted=self.attempted,
            accepted=len(self.accepted),
            done=sum(states[i] == wanted for i, wanted in self.accepted.items()),
            lost=len(lost),
            duplicate_effects=sum(count - 1 for count in applied.values()),
            non_terminal=sum(state == "waits" for state in states.values()),
            extra_runs=sum(count - 1 for count in runs.values()),
        )

    def _lines(self, name: str) -> Counter[str]:
        path = self.folder / name
        return Counter(path.read_text().split()) if path.exists() else Counter()

    def log(self) -> str:
        path = self.folder / "workers.log"
        return path.read_text(errors="replace")[-6000:] if path.exists() else ""


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> float:
    """Poll, and give the seconds that it took."""
    started = time.monotonic()
    poll(condition, seconds, what)
    return time.monotonic() - started
