"""The users that ``deploy/rabbitmq-users.sh`` makes, on a real broker: enough, and no more."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import amqp
import httpx
import pytest

from faults.services import Rabbit, Redis, free_port
from menos_bus import Bus, BusSettings
from menos_bus.messages.dead_letters import Which, dead_letters
from running import MENOS_BUS, ROOT, poll, run_cli

PASSWORDS = {f"{who}_PASSWORD": f"pw-of-{who.lower()}" for who in ("WORKER", "DOOR", "CALLER")}


class ManagedRabbit(Rabbit):
    """RabbitMQ with its management API."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.api = f"http://127.0.0.1:{(port := free_port())}/api"
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        with (folder / "rabbitmq.conf").open("a") as settings:
            settings.write(
                f"management.tcp.port = {port}\nmanagement.tcp.ip = 127.0.0.1\n"
                "default_user = admin\ndefault_pass = pw-of-admin\n"
            )

    def connect(self, user: str = "admin"):
        return amqp.Connection(
            f"127.0.0.1:{self.port}", userid=user, password=f"pw-of-{user}", connect_timeout=3
        )

    def url_of(self, user: str) -> str:
        return f"amqp://{user}:pw-of-{user}@127.0.0.1:{self.port}//"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    rabbit, redis = ManagedRabbit(folder / "rabbit"), Redis(folder / "redis")
    try:
        redis.start()
        rabbit.start()
        poll(lambda: _answers(rabbit.api), 30, "the management API")
        subprocess.run(
            ["sh", ROOT / "deploy" / "rabbitmq-users.sh"],
            env={
                **os.environ, **PASSWORDS, "ADMIN_PASSWORD": "pw-of-admin",
                "RABBITMQ_API": rabbit.api, "PLUGINS": "probe", "NO_PROXY": "127.0.0.1",
            },
            check=True,
        )  # fmt: skip
        yield rabbit, redis
    finally:
        rabbit.kill()
        redis.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


@pytest.fixture
def env_of(servers, clean_env, probe):
    rabbit, redis = servers

    def env_of(user: str) -> dict[str, str]:
        told = {"MENOS_BROKER_URL": rabbit.url_of(user), "MENOS_RESULT_BACKEND": redis.url}
        return {**clean_env, **told, "MENOS_PLUGINS": "probe"}

    return env_of


def test_each_user_can_do_its_work(servers, env_of, tmp_path):
    rabbit, _ = servers
    worker = subprocess.Popen([MENOS_BUS, "worker", "--concurrency", "1"], env=env_of("worker"))
    port = free_port()
    passwords = {"MENOS_FLOWER_PASSWORD": "o", "MENOS_CALLER_PASSWORD": "c"}
    flower = subprocess.Popen(
        [MENOS_BUS, "flower", "--port", str(port)], env={**env_of("door"), **passwords}
    )
    try:
        # door: a call, a retry over the delay queues, a failure, its dead letter
        env = env_of("door")
        assert run_cli("call", "probe.echo", "x", env=env).stdout == '"x"\n'
        later = run_cli("call", "probe.flaky", str(tmp_path / "m"), env=env)
        assert "not yet (busy, after 3 tries)" in later.stderr, later.stderr
        letters = lambda: json.loads(run_cli("dead", "list", "--json", env=env).stdout)  # noqa: E731
        [letter] = poll(letters)
        replayed = run_cli("dead", "replay", letter["id"], env=env)
        assert replayed.returncode == 0, replayed.stderr
        poll(lambda: len((tmp_path / "m").read_text().split()) == 6)
        # Flower: sees the worker, and can ask it something
        url = f"http://127.0.0.1:{port}"
        poll(lambda: _answers(url), what="Flower")
        poll(
            lambda: httpx.get(f"{url}/api/workers?refresh=1", auth=("menos", "o")).json(),
            what="the worker at Flower",
        )
        # caller: a message to the queue by name, as n8n sends it
        with rabbit.connect("caller") as connection:
            channel = connection.channel()
            channel.queue_declare("probe", passive=True)
            said = json.dumps({"task": "probe.echo", "args": ["raw"], "id": "from-n8n"})
            channel.basic_publish(amqp.Message(said), exchange="", routing_key="probe")
        settings = BusSettings.load(broker_url=rabbit.url_of("door"), result_backend=servers[1].url)
        bus = Bus(settings, [])
        poll(lambda: "from-n8n" in bus.app.ledger and bus.outcome("from-n8n").result == "raw")
        assert dead_letters(bus.app).discard(Which(queue="probe"))
        bus.app.close()
    finally:
        for process in (worker, flower):
            process.terminate()
            process.wait(30)
    assert worker.returncode == 0


@pytest.mark.parametrize(
    ("user", "act"),
    [
        ("caller", lambda channel: channel.basic_get("probe")),
        ("caller", lambda channel: channel.queue_declare("mine")),
        ("caller", lambda channel: channel.queue_purge("probe")),
        ("caller", lambda channel: channel.queue_delete("probe")),
        ("caller", lambda channel: channel.basic_consume("probe.dead")),
        ("door", lambda channel: channel.basic_get("probe")),
        ("door", lambda channel: channel.queue_declare("mine")),
        ("worker", lambda channel: channel.queue_declare("somebody-elses")),
    ],
)
def test_and_nothing_else(servers, user, act):
    rabbit, _ = servers
    with rabbit.connect() as connection:
        for name in ("probe", "probe.dead"):
            arguments = {"x-queue-type": "quorum"}
            try:
                connection.channel().queue_declare(name, passive=True)
            except amqp.NotFound:
                connection.channel().queue_declare(
                    name, durable=True, auto_delete=False, arguments=arguments
                )
    with rabbit.connect(user) as connection, pytest.raises(amqp.AccessRefused):
        act(connection.channel())
