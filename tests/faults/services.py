"""A RabbitMQ and a Redis of the tests' own, on free ports, to be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

import amqp
import pytest
import redis

from running import poll


def need(program: str) -> str:
    """The path of a server; CI must have it, a laptop need not."""
    # Debian's command of that name would change the user.
    found = shutil.which(program, path=f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}:/usr/sbin")
    if found is None:
        reason = f"{program} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Service(ABC):
    """A server process in a process group of its own."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)

    @abstractmethod
    def command(self) -> list[str]:
        """The words that start it."""

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes requests."""

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        poll(self.answers, 60, f"{self.name} on port {self.port}")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """As the power cut or the out-of-memory killer does it."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait(20)
            self.process = None


class Rabbit(Service):
    name = "RabbitMQ"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.node = f"menos-faults-{self.port}@localhost"
        self._distribution = free_port()
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            "disk_free_limit.absolute = 10MB\nheartbeat = 10\nlog.console = false\n"
        )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def command(self) -> list[str]:
        return [need("rabbitmq-server")]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CTL_ERL_ARGS": "",
        }

    def answers(self) -> bool:
        try:
            with self.connect():
                return True
        except (OSError, amqp.AMQPError):
            return False

    def connect(self) -> Any:
        """A connection that confirms what is published."""
        return amqp.Connection(
            f"127.0.0.1:{self.port}", userid="guest", password="guest", connect_timeout=3,
            read_timeout=10, write_timeout=10, confirm_publish=True,
        )  # fmt: skip

    def control(self, *words: str) -> None:
        subprocess.run(
            [need("rabbitmqctl"), "-q", "-n", self.node, *words],
            env=self.environment(), check=True, capture_output=True, timeout=60,
        )  # fmt: skip


class Redis(Service):
    name = "Redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            need("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "always",
            "--save", "", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip

    def answers(self) -> bool:
        try:
            return bool(redis.Redis.from_url(self.url, socket_timeout=2).ping())
        except redis.RedisError:
            return False
