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
from forked import Command
from menos_bus import Bus, BusSettings
from menos_bus.messages.dead_letters import Which, dead_letters
from running import ROOT, poll, run_cli

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
        made = make_users(RABBITMQ_API=rabbit.api, PLUGINS="probe")
        assert made.returncode == 0, made.stderr
        yield rabbit, redis
    finally:
        rabbit.kill()
        redis.kill()


def make_users(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", ROOT / "deploy" / "rabbitmq-users.sh"],
        env={
            **os.environ, **PASSWORDS, "ADMIN_PASSWORD": "pw-of-admin", "NO_PROXY": "127.0.0.1",
            **settings,
        },
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, verify=False).status_code < 500
    except httpx.TransportError:
        return False


@pytest.fixture
def env_of(servers, clean_env, probe):
    rabbit, redis = servers

    def env_of(user: str) -> dict[str, str]:
        told = {"MENOS_BROKER_URL": rabbit.url_of(user), "MENOS_RESULT_BACKEND": redis.url}
        return {**clean_env, **told, "MENOS_PLUGINS": "probe"}

    return env_of


@pytest.fixture
def start(env_of):
    """Start a command as a user; it is stopped at the end, and a worker then ends in order."""
    started = []

    def start(user, *words, **settings):
        process = Command(*words, env={**env_of(user), **settings})
        started.append((words[0], process))

    yield start
    for _, process in started:
        process.terminate()
    codes = [(command, process.wait(30)) for command, process in started]
    assert all(code == 0 for command, code in codes if command == "worker")


def test_a_door_may_take_a_call_before_any_worker_has_served_its_plugin(servers, env_of, start):
    rabbit, _ = servers
    with rabbit.connect() as connection:
        channel = connection.channel()
        for queue in ("probe", "probe.priority"):
            channel.queue_delete(queue)
        # With the first worker comes the exchange of the dead letters; on a new broker it is later.
        channel.exchange_delete("menos.dead")

    taken = run_cli("call", "probe.echo", "x", "--no-wait", env=env_of("door"))
    assert taken.returncode == 0, taken.stderr
    start("worker", "worker", "--concurrency", "1")
    ended = run_cli("result", taken.stdout.strip(), "--wait", "60", env=env_of("door"))

    assert "SUCCESS" in ended.stdout, ended.stdout + ended.stderr


def test_each_user_can_do_its_work(servers, env_of, start, tmp_path):
    rabbit, _ = servers
    start("worker", "worker", "--concurrency", "1")
    port = free_port()
    start(
        "door", "flower", "--port", str(port), MENOS_FLOWER_PASSWORD="o",
        MENOS_CALLER_PASSWORD="c",
        MENOS_BROKER_API=rabbit.api.replace("//", "//door:pw-of-door@") + "/",
    )  # fmt: skip
    # door: a call, a retry over the delay queues, a failure, its dead letter
    env = env_of("door")
    called = run_cli("call", "probe.echo", "x", env=env)
    assert called.stdout == '"x"\n', called.stderr
    later = run_cli("call", "probe.flaky", str(tmp_path / "m"), env=env)
    assert "not yet (busy, after 3 tries)" in later.stderr, later.stderr
    [letter] = poll(lambda: json.loads(run_cli("dead", "list", "--json", env=env).stdout))
    replayed = run_cli("dead", "replay", letter["id"], env=env)
    assert replayed.returncode == 0, replayed.stderr
    poll(lambda: len((tmp_path / "m").read_text().split()) == 6)
    # Flower: sees the worker, can ask it something, and knows the queues from the management API
    url = f"http://127.0.0.1:{port}"
    flower = httpx.Client(base_url=url, auth=("menos", "o"), trust_env=False)
    poll(lambda: _answers(url), what="Flower")
    poll(lambda: flower.get("/api/workers?refresh=1").json(), what="the worker at Flower")
    poll(lambda: ">probe<" in "".join(flower.get("/broker").text.split()), what="the broker page")
    # caller: a message to the queue by name, as n8n sends it
    with rabbit.connect("caller") as connection:
        channel = connection.channel()
        channel.queue_declare("probe", passive=True)
        said = json.dumps({"task": "probe.echo", "args": ["raw"], "id": "from-n8n"})
        channel.basic_publish(amqp.Message(said), exchange="", routing_key="probe")
    settings = BusSettings.load(broker_url=rabbit.url_of("door"), result_backend=servers[1].url)
    bus = Bus(settings, [])
    poll(lambda: "from-n8n" in bus.app.ledger and bus.outcome("from-n8n").result == "raw")
    assert poll(lambda: list(dead_letters(bus.app).discard(Which(queue="probe"))))
    bus.app.close()


def test_a_caller_can_be_held_to_the_queues_of_some_plugins(servers, env_of, start):
    rabbit, _ = servers
    start("worker", "worker", "--concurrency", "1")
    run_cli("call", "probe.echo", "x", env=env_of("door"))  # the worker is there
    for path, body in (
        ("users/narrow", {"password": "pw-of-narrow", "tags": ""}),
        ("permissions/%2F/narrow", {"configure": "^$", "write": "^menos$", "read": "^$"}),
        ("topic-permissions/%2F/narrow", {"exchange": "menos", "write": "^probe$", "read": "^$"}),
    ):
        auth = ("admin", "pw-of-admin")
        put = httpx.put(f"{rabbit.api}/{path}", auth=auth, json=body, trust_env=False)
        put.raise_for_status()

    said = amqp.Message(json.dumps({"task": "probe.echo", "args": ["raw"], "id": "narrow"}))
    with rabbit.connect("narrow") as connection:
        connection.channel().basic_publish(said, exchange="menos", routing_key="probe")
        for exchange, key in (("", "probe"), ("menos", "callbacks")):
            with pytest.raises(amqp.AccessRefused):
                publish_and_ask(connection.channel(), exchange, key)

    ended = poll(
        lambda: (
            found.stdout
            if (found := run_cli("result", "narrow", "--wait", "30", env=env_of("door"))).stdout
            else None
        )
    )
    assert "SUCCESS" in ended


def publish_and_ask(channel: amqp.Channel, exchange: str, key: str) -> None:
    """A refusal to publish comes before the answer to what follows."""
    channel.basic_publish(amqp.Message("x"), exchange=exchange, routing_key=key)
    channel.queue_declare("probe", passive=True)


def test_a_password_that_would_break_a_url_is_refused():
    refused = make_users(DOOR_PASSWORD='p"w')

    assert refused.returncode == 2
    assert "openssl rand -hex 24" in refused.stderr


@pytest.mark.parametrize(
    ("user", "act"),
    [
        ("caller", lambda channel: channel.basic_get("probe")),
        ("caller", lambda channel: channel.queue_declare("mine")),
        ("caller", lambda channel: channel.queue_purge("probe")),
        ("caller", lambda channel: channel.queue_delete("probe")),
        ("caller", lambda channel: channel.basic_consume("probe.dead")),
        ("caller", lambda channel: publish_and_ask(channel, "menos", "probe")),
        ("door", lambda channel: channel.queue_declare("mine")),
        ("door", lambda channel: channel.queue_delete("probe.dead")),
        ("door", lambda channel: channel.basic_get("menos.dead-lettered")),
        ("door", lambda channel: channel.exchange_delete("menos.dead")),
        ("worker", lambda channel: channel.queue_declare("somebody-elses")),
        ("worker", lambda channel: channel.exchange_declare("theirs", "topic")),
    ],
)
def test_and_nothing_else(servers, user, act):
    rabbit, _ = servers
    with rabbit.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare("menos", "topic", durable=True, auto_delete=False)
        channel.exchange_declare("menos.dead", "topic", durable=True, auto_delete=False)
        for name in ("probe", "probe.dead", "menos.dead-lettered"):
            declare_unless_there(connection, name)
    with rabbit.connect(user) as connection, pytest.raises(amqp.AccessRefused):
        act(connection.channel())


def declare_unless_there(connection: amqp.Connection, name: str) -> None:
    """The queue may be there with a worker's options, or not yet."""
    try:
        connection.channel().queue_declare(name, passive=True)
    except amqp.NotFound:
        connection.channel().queue_declare(
            name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
        )
