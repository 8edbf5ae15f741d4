"""A fleet by settings only: a worker on RabbitMQ, results in Redis, the same calls."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from types import ModuleType
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest
from kombu import Connection

from conftest import BROKER, RABBITMQ, REDIS, consumers
from forked import Command
from menos_bus import Bus, BusSettings, BusUnavailable
from menos_bus.doors import client
from menos_bus.doors.worker import run_worker
from menos_bus.messages.depths import queue_depths
from menos_bus.outcomes.ledger import ABANDONED_SECONDS, Entry
from menos_bus.tasks.envelope import digest_of
from running import poll, run_cli


@pytest.fixture
def worker(start_worker):
    return start_worker()


def test_a_call_goes_over_the_broker_and_its_result_comes_back(fleet_env, worker):
    called = run_cli("call", "probe.echo", "ha", "--times", "2", env=fleet_env)

    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == "haha"


def test_a_queue_tells_its_workers_and_the_doctor_which_ones_have_none(fleet_env, start_worker):
    run_cli("call", "probe.echo", "ha", "--no-wait", env=fleet_env)
    alone = run_cli("doctor", env=fleet_env)
    start_worker()

    served = json.loads(run_cli("queues", "--json", env=fleet_env).stdout)
    then = run_cli("doctor", env=fleet_env)

    assert "queue probe: no worker serves it; 1 call(s) wait" in alone.stdout
    assert {q["name"]: q["workers"] for q in served}["probe"] == 1
    assert "no worker serves it" not in then.stdout
    assert "workers" in run_cli("queues", env=fleet_env).stdout


def test_a_failure_carries_code_message_and_tries(fleet_env, worker, tmp_path):
    called = run_cli(
        "call", "probe.flaky", str(tmp_path / "m"), "--json", "--wait", "60", env=fleet_env
    )

    assert called.returncode == 1
    assert json.loads(called.stdout)["error"] == {"code": "busy", "message": "not yet", "tries": 3}
    assert len((tmp_path / "m").read_text().splitlines()) == 3


def test_a_task_may_let_another_one_end_its_call(fleet_env, worker):
    called = run_cli("call", "probe.hand_over", "ha", env=fleet_env)

    assert (called.stdout, called.stderr) == ('"ha"\n', "")


def test_one_idempotency_key_is_one_execution(fleet_env, worker, tmp_path):
    (tmp_path / "until").touch()
    call = ("call", "probe.work", str(tmp_path / "m"), str(tmp_path / "until"), "--json")

    first, second = (
        json.loads(run_cli(*call, "--idempotency-key", str(tmp_path), env=fleet_env).stdout)
        for _ in range(2)
    )
    other = run_cli(
        "call", "probe.work", "x", "y", "--idempotency-key", str(tmp_path), env=fleet_env
    )

    assert first == second
    assert (tmp_path / "m").read_text() == "started\n"
    assert other.returncode == 2
    assert "used before" in other.stderr


def test_an_id_that_was_never_accepted_is_unknown(fleet_env):
    asked = run_cli("result", "never", env=fleet_env)

    assert asked.returncode == 2
    assert "no call with the id 'never'" in asked.stderr


def test_flower_takes_calls_for_the_fleet_and_keeps_its_history(fleet_env, worker):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**fleet_env, "MENOS_FLOWER_PASSWORD": "secret", "MENOS_CALLER_PASSWORD": "hush"}
    url = f"http://127.0.0.1:{port}"
    caller = httpx.Client(base_url=url, auth=("caller", "hush"), trust_env=False)
    operator = httpx.Client(base_url=url, auth=("menos", "secret"), trust_env=False)

    def serve():
        flower = Command("flower", "--port", str(port), env=env)
        poll(lambda: _up(caller), what="Flower")
        return flower

    def stop(flower):
        flower.send_signal(signal.SIGTERM)
        assert flower.wait(30) == 0

    flower = serve()
    try:
        answer = caller.post("/api/task/async-apply/probe.echo", json={"args": ["hi"]})
        task_id = answer.json()["task-id"]
        result = caller.get(f"/api/task/result/{task_id}?timeout=30", timeout=40)
        assert result.json()["result"] == "hi"
        assert caller.get("/api/queues/length").status_code == 200
        assert caller.post("/api/worker/shutdown/any").status_code == 403
        poll(
            lambda: task_id in operator.get("/api/tasks").json(), what="the task on Flower's pages"
        )
        stop(flower)
        flower = serve()
        assert task_id in operator.get("/api/tasks").json()
    finally:
        stop(flower)


def test_a_worker_without_a_broker_says_which_settings_it_needs(clean_env):
    refused = run_cli("worker", env=clean_env)

    assert refused.returncode == 2
    assert "MENOS_BROKER_URL" in refused.stderr


def test_a_broker_that_does_not_answer_is_named_and_nothing_is_kept(fleet_env):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    env = {**fleet_env, "MENOS_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{port}//"}

    refused = run_cli("call", "probe.echo", "x", "--idempotency-key", str(port), env=env)
    checked = run_cli("doctor", env=env)

    assert refused.returncode == 2
    assert "the broker does not take messages now" in refused.stderr
    assert checked.returncode == 1
    assert "MENOS_BROKER_URL" in checked.stdout


def test_a_broker_that_refuses_the_login_is_told_as_such(fleet_env):
    bus = Bus(
        BusSettings.load(
            broker_url=f"amqp://guest:wrong@{RABBITMQ}//",
            result_backend=fleet_env["MENOS_RESULT_BACKEND"],
        ),
        [ModuleType("menos_probe")],
    )

    with pytest.raises(BusUnavailable, match=r"refuses: .*Login was refused"):
        queue_depths(bus.app)
    with pytest.raises(BusUnavailable, match=r"refuses: .*Login was refused"):
        run_worker(bus)
    with pytest.raises(BusUnavailable, match=r"refuses .*Login was refused.*MENOS_BROKER_URL"):
        bus.app.send_task("tasks.vault_stats")


def test_a_system_without_root_is_none_that_a_worker_stumbles_over(fleet_env, monkeypatch):
    bus = Bus(
        BusSettings.load(
            broker_url=f"amqp://guest:wrong@{RABBITMQ}//",
            result_backend=fleet_env["MENOS_RESULT_BACKEND"],
        ),
        [ModuleType("menos_probe")],
    )
    monkeypatch.delattr(os, "geteuid")

    with pytest.raises(BusUnavailable, match="Login was refused"):
        run_worker(bus)


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("MENOS_BROKER_URL", f"amqp://guest:wrong@{RABBITMQ}//"),
        ("MENOS_RESULT_BACKEND", f"redis://nobody:wrong@{REDIS}/5"),
    ],
)
def test_flower_does_not_start_with_a_wrong_login(fleet_env, setting, url):
    refused = run_cli("flower", "--port", "0", env={**fleet_env, setting: url})

    assert refused.returncode == 2
    assert f"correct user and password in {setting}" in refused.stderr
    assert "Traceback" not in refused.stderr


def _up(door: httpx.Client) -> bool:
    try:
        return door.get("/healthcheck").status_code == 200
    except httpx.TransportError:
        return False


LIMITED = """
from menos_bus import hookimpl

import os
WHY = os.environ.get("WHY")

@hookimpl
def register_tasks(register):
    register(slow, time_limit=LIMIT, one_process={"a thing": lambda: WHY})

def slow() -> None: ...
"""


@pytest.mark.parametrize(
    ("words", "settings", "limit", "reason"),
    [
        (["--pool", "threads"], {}, 60, "--pool threads cannot end a task that runs too long"),
        (["--pool", "solo"], {}, 60, "limited.slow declares time_limit=60"),
        ([], {}, 3600, "limited.slow may run 3600 s, but RabbitMQ takes a message back"),
        ([], {"MENOS_CONSUMER_TIMEOUT": "500"}, 60, "MENOS_TIME_LIMIT|may run|consumer_timeout"),
        (
            [],
            {"MENOS_RESULT_BACKEND": f"redis://nobody:wrong@{REDIS}/5"},
            60,
            "refuses the login .*: correct user and password in MENOS_RESULT_BACKEND",
        ),
        (["--only", "nothing"], {}, 60, "--only nothing: not loaded here"),
        (["--concurrency", "2"], {"WHY": "a file"}, 60, "limited.slow may run in one process only"),
        (["--concurrency", "2"], {"WHY": "a file"}, 60, "starts 2: a file. Use --concurrency 1"),
        (
            [],
            {"MENOS_BROKER_URL": "amqp://guest:guest@rabbit.example.org//"},
            60,
            "the user guest on rabbit.example.org",
        ),
    ],
)
def test_a_worker_refuses_to_start_with_what_would_go_wrong_later(
    fleet_env, clean_env, install, words, settings, limit, reason
):
    install("limited", LIMITED.replace("LIMIT", str(limit)))
    path = clean_env["PYTHONPATH"]
    env = {**fleet_env, "PYTHONPATH": path, "MENOS_PLUGINS": "limited,probe", **settings}

    refused = run_cli("worker", *words, env=env)

    assert refused.returncode == 2
    assert re.search(reason, refused.stderr), refused.stderr


def test_a_worker_warns_of_root_with_what_an_operator_can_do(fleet_env, tmp_path):
    with (tmp_path / "stderr").open("w+") as said, Connection(BROKER) as connection:
        worker = Command("worker", "--concurrency", "1", env=fleet_env, stderr=said.fileno())
        try:
            poll(lambda: consumers(connection, "probe"), what="the worker")
        finally:
            worker.terminate()
            worker.wait(30)
        said.seek(0)
        told = said.read()

    assert "--uid" not in told
    assert ("start it as a user of its own" in told) is (os.geteuid() == 0)


def test_a_queue_that_was_declared_differently_is_named(fleet_env):
    with Connection(fleet_env["MENOS_BROKER_URL"]) as connection:
        connection.default_channel.queue_declare("probe", durable=True, auto_delete=False)

    refused = run_cli("worker", env=fleet_env)

    assert refused.returncode == 2
    assert "the queue 'probe' exists with other options" in refused.stderr
    assert "rabbitmqctl delete_queue probe" in refused.stderr


def test_a_priority_call_goes_ahead(fleet_env, start_worker, tmp_path):
    start_worker("--concurrency", "1")
    until, order = tmp_path / "until", tmp_path / "order"
    submit = lambda *words: run_cli(*words, "--no-wait", env=fleet_env)  # noqa: E731
    submit("call", "probe.work", str(tmp_path / "m"), str(until))
    poll((tmp_path / "m").exists)
    for number in range(5):
        submit("call", "probe.note", str(order), str(number))
    submit("call", "probe.note", str(order), "first", "--priority")

    until.touch()

    poll(lambda: order.exists() and len(order.read_text().split()) == 6)
    # One that had been handed to the worker before may run before it.
    assert "first" in order.read_text().split()[:2]


def test_a_task_beyond_its_hard_limit_is_a_failure_and_a_dead_letter(fleet_env, start_worker):
    start_worker(MENOS_SOFT_TIME_LIMIT="1", MENOS_TIME_LIMIT="2")

    called = run_cli("call", "probe.stubborn", "--json", env=fleet_env)

    error = json.loads(called.stdout)["error"]
    assert (called.returncode, error["code"]) == (1, "time_limit")
    mine = ("dead", "list", "--queue", "probe", "--json")
    letters = poll(lambda: json.loads(run_cli(*mine, env=fleet_env).stdout))
    assert letters[0]["code"] == "time_limit"


def test_redis_as_a_broker_serves_calls_and_the_doctor_says_what_is_missing(fleet_env, tmp_path):
    env = {**fleet_env, "MENOS_BROKER_URL": f"redis://{REDIS}/4"}
    worker = Command("worker", "--concurrency", "1", env=env)
    try:
        called = run_cli("call", "probe.echo", "x", env=env)
        failed = run_cli("call", "probe.flaky", str(tmp_path / "m"), env=env)
        checked = run_cli("doctor", env=env)
    finally:
        worker.terminate()
        worker.wait(30)

    assert called.stdout == '"x"\n', called.stderr
    assert "not yet (busy, after 3 tries)" in failed.stderr
    assert "reduced" in checked.stdout


@pytest.mark.parametrize(
    ("words", "away"),
    [
        (("queues",), {"MENOS_BROKER_URL": "amqp://u:p@127.0.0.1:1//"}),
        (("dead", "list"), {"MENOS_BROKER_URL": "amqp://u:p@127.0.0.1:1//"}),
        (("worker",), {"MENOS_BROKER_URL": "amqp://u:p@127.0.0.1:1//"}),
        (("result", "x"), {"MENOS_RESULT_BACKEND": "redis://127.0.0.1:1"}),
        (("call", "probe.echo", "x"), {"MENOS_RESULT_BACKEND": "redis://127.0.0.1:1"}),
    ],
)
def test_a_server_that_is_away_is_told_and_no_command_shows_a_traceback(fleet_env, words, away):
    said = run_cli(*words, env={**fleet_env, **away})

    assert said.returncode == 2
    assert "does not answer" in said.stderr
    assert "Traceback" not in said.stderr


EAR = """
import os
from menos_bus import hookimpl

@hookimpl
def register_tasks(register):
    register(listen)

def listen() -> None: ...

@hookimpl
def task_finished(task, state):
    with open(os.environ["EAR"], "a") as heard:
        heard.write(f"{task} {state}\\n")
"""


def test_a_worker_serves_what_only_names_and_tells_the_plugins_of_a_call_that_it_gives_up(
    fleet_env, clean_env, install, tmp_path
):
    install("ear", EAR)
    heard = tmp_path / "heard"
    more = {"PYTHONPATH": clean_env["PYTHONPATH"], "MENOS_PLUGINS": "probe,ear", "EAR": str(heard)}
    env = {**fleet_env, **more, "MENOS_DELIVERY_LIMIT": "1"}
    worker = Command("worker", "--concurrency", "1", "--only", "probe", env=env)
    try:
        run_cli("call", "probe.die", str(tmp_path / "died"), "--wait", "60", env=env)
        poll(heard.exists, what="the plugin to hear of it")
        with Connection(fleet_env["MENOS_BROKER_URL"]) as connection:
            channel = connection.default_channel
            assert channel.queue_declare("probe", passive=True).consumer_count == 1
            with pytest.raises(connection.channel_errors):
                channel.queue_declare("ear", passive=True)
    finally:
        worker.terminate()
        worker.wait(30)

    assert heard.read_text() == "probe.die FAILURE\n"


def test_a_call_that_fans_out_ends_when_all_have_ended_though_a_worker_is_killed(
    fleet_env, start_worker, tmp_path
):
    doomed, _ = start_worker(), start_worker()
    markers = [str(tmp_path / f"m{number}") for number in range(12)]
    until = tmp_path / "until"
    words = ("call", "probe.gather", json.dumps(markers), str(until), "--no-wait")
    task_id = run_cli(*words, env=fleet_env).stdout.strip()

    def shown(*states):
        outcome = json.loads(run_cli("result", task_id, "--json", env=fleet_env).stdout)
        return outcome if outcome["state"] in states else None

    waiting = poll(lambda: shown("PROGRESS"), what="progress")
    doomed.kill()
    until.touch()
    ended = poll(lambda: shown("SUCCESS", "FAILURE"), 60, what="the end")

    assert waiting["progress"] == {"stage": "gathering", "done": 0, "total": 12}
    assert ended["result"] == ["worked"] * 12


def test_a_part_that_was_recorded_but_never_sent_is_sent_after_all(
    fleet_env, start_worker, tmp_path
):
    marker, until = str(tmp_path / "m"), tmp_path / "until"
    until.touch()
    settings = BusSettings.load(
        broker_url=BROKER, result_backend=fleet_env["MENOS_RESULT_BACKEND"], plugins=()
    )
    bus = Bus(settings)
    parent = bus.submit("probe.gather", kwargs={"markers": [marker], "until": str(until)})
    # As a process leaves it that dies after it has recorded the part and before it sends it.
    arguments = {"marker": marker, "until": str(until)}
    digest = digest_of("probe.work", (), arguments)
    part = str(uuid5(NAMESPACE_URL, f"menos-bus:{parent}:probe.work:{marker}:{digest}"))
    bus.app.ledger.accept(Entry(part, "probe.work", "probe", digest, {}))
    record = bus.app.ledger.find(part)
    late = {"accepted_at": record.accepted_at - ABANDONED_SECONDS - 1}
    bus.app.ledger._redis.hset(f"menos:call:{part}", mapping=late)

    start_worker()
    ended = poll(lambda: (o := bus.outcome(parent)).ready and o, 60, what="the end")

    assert not record.published
    assert (ended.result, bus.outcome(part).result) == (["worked"], "worked")


def test_who_waits_is_told_that_the_broker_is_away(fleet_env, monkeypatch, tmp_path):
    monkeypatch.setattr(client, "_LOOK", 0.05)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = f"amqp://127.0.0.1:{nobody.getsockname()[1]}//"
        backend = fleet_env["MENOS_RESULT_BACKEND"]
        settings = BusSettings.load(broker_url=gone, result_backend=backend, home=tmp_path)
        bus = Bus(settings, modules=())
        task_id = str(uuid5(NAMESPACE_URL, str(tmp_path)))
        bus.app.ledger.accept(Entry(task_id, "probe.echo", "probe", "digest", {}))
        told = []

        outcome = client.wait(bus, task_id, 0.5, lambda outcome: None, told.append)

        bus.app.ledger.forget(task_id)
    assert not outcome.ready
    assert [line[: len("Still waiting, but the broker")] for line in told] == [
        "Still waiting, but the broker"
    ]
