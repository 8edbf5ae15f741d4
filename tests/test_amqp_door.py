"""The AMQP door: whatever is published to a queue by name, by n8n, by Celery or by nobody sane."""

from __future__ import annotations

import json
import random
from uuid import uuid4

import amqp
import pytest
import redis
from celery import Celery

from conftest import BROKER, RABBITMQ
from menos_bus import Bus, BusSettings, UnknownTaskId
from menos_bus.messages.dead_letters import Which, dead_letters
from menos_bus.messages.topology import DEAD_LETTERED, dead_letter_queues
from running import poll, run_cli

EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


@pytest.fixture
def channel(fleet_env):
    with amqp.Connection(RABBITMQ, userid="guest", password="guest") as connection:
        yield connection.channel()


@pytest.fixture
def bus(fleet_env, monkeypatch):
    """The fleet as another host sees it: it has no plugin."""
    names = ("broker_url", "result_backend")
    settings = {name: fleet_env[f"MENOS_{name.upper()}"] for name in names}
    bus = Bus(BusSettings.load(**settings), [])
    yield bus
    bus.app.close()


def send(channel, body, queue="probe", headers=None, **properties):
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    message = amqp.Message(text, application_headers=headers or {}, **properties)
    channel.basic_publish(message, exchange="", routing_key=queue)


def ended(bus, task_id):
    """The outcome, once it is there."""

    def look():
        try:
            outcome = bus.outcome(task_id)
        except UnknownTaskId:
            return None
        return outcome if outcome.ready else None

    return poll(look, what=f"the end of {task_id}")


def letters(bus):
    return dead_letters(bus.app).find(Which(queue="probe"))


def test_what_n8n_publishes_runs_though_it_has_no_content_type(start_worker, channel, bus):
    start_worker()
    task_id = str(uuid4())

    send(channel, {"id": task_id, "task": "probe.echo", "args": ["ha"], "kwargs": {"times": 2}})

    assert ended(bus, task_id).result == "haha"


def test_other_celery_clients_of_both_protocols_are_served(start_worker, bus):
    start_worker()
    for protocol in (1, 2):
        client = Celery(broker=BROKER, set_as_current=False)
        client.conf.update(task_protocol=protocol, task_ignore_result=True)
        task_id = str(uuid4())
        # Its own declaration of the queue would be another one; it only publishes.
        with client.producer_pool.acquire() as producer:
            client.send_task(
                "probe.echo", ["x"], {"times": 3}, task_id=task_id, producer=producer,
                exchange="", routing_key="probe", declare=[],
            )  # fmt: skip

        assert ended(bus, task_id).result == "xxx"
        client.close()


def test_reserved_arguments_mean_the_same_as_at_every_door(start_worker, channel, bus, tmp_path):
    start_worker()
    marker, key = tmp_path / "marker", str(uuid4())
    (tmp_path / "until").touch()
    kwargs = {"marker": str(marker), "until": str(tmp_path / "until"), "idempotency_key": key}

    for _ in range(5):
        send(channel, {"task": "probe.work", "kwargs": {**kwargs, "priority": True}})
    later = str(uuid4())
    send(channel, {"id": later, "task": "probe.echo", "args": ["last"]})
    ended(bus, later)

    poll(marker.exists)
    assert marker.read_text() == "started\n"


ODD = {
    "empty": (b"", {}),
    "not utf-8": (b"\xff\xfe\x00", {}),
    "null": ("null", {}),
    "list": ("[]", {}),
    "list of one": ("[1]", {}),
    "text": ('"text"', {}),
    "number": ("5", {}),
    "deep": ("[" * 100_000, {}),
    "deep objects": ('{"a":' * 50_000, {}),
    "no task": ({"id": "ID"}, {}),
    "task a list": ({"task": ["a"], "id": "ID"}, {}),
    "unknown task": ({"task": "probe.nope", "id": "ID"}, {}),
    "misspelt task": ({"task": "probe.not", "id": "ID"}, {}),
    "unknown public task": ({"task": "tasks.nope", "id": "ID"}, {}),
    "args an object": ({"task": "probe.echo", "args": {"text": "u"}, "id": "ID"}, {}),
    "args a text": ({"task": "probe.echo", "args": "abc", "id": "ID"}, {}),
    "kwargs a list": ({"task": "probe.echo", "kwargs": ["a"], "id": "ID"}, {}),
    "wrong argument": ({"task": "probe.echo", "args": [5], "id": "ID"}, {}),
    "too many": ({"task": "probe.echo", "args": ["a", 1, 2], "id": "ID"}, {}),
    "id a list": ({"task": "probe.echo", "args": ["a"], "id": ["x"]}, {}),
    "id a number": ({"task": "probe.echo", "args": ["a"], "id": 5}, {}),
    "eta": ({"task": "probe.echo", "args": ["a"], "eta": "soon", "id": "ID"}, {}),
    "timelimit": ({"task": "probe.echo", "args": ["a"], "timelimit": "abc", "id": "ID"}, {}),
    "callbacks": ({"task": "probe.echo", "args": ["a"], "callbacks": [{}], "id": "ID"}, {}),
    "option": ({"task": "probe.echo", "args": ["a"], "queue": "ghost", "id": "ID"}, {}),
    "header without a body": ("", {"task": "probe.echo", "id": "ID"}),
    "header, other body": ("[1, 2]", {"task": "probe.echo", "id": "ID"}),
    "header, wrong shapes": ("[{}, [], null]", {"task": "probe.echo", "id": "ID"}),
    "header task a number": ([[], {}, EMBED], {"task": 5, "id": "ID"}),
    "header id a number": ([["a"], {}, EMBED], {"task": "probe.echo", "id": 7}),
    "header eta": ([["a"], {}, EMBED], {"task": "probe.echo", "id": "ID", "eta": "x"}),
    "chain": ([["a"], {}, {**EMBED, "chain": [{}]}], {"task": "probe.echo", "id": "ID"}),
    "compression": ("{}", {"task": "probe.echo", "id": "ID", "compression": "application/x-no"}),
    "broken gzip": ("{}", {"compression": "application/x-gzip"}),
    "forged, no id": ([[], {}, EMBED], {"menos_accepted": "forged", "task": "probe.echo"}),
    "forged, unknown": (
        [[], {}, EMBED],
        {"menos_accepted": "forged", "task": "probe.nope", "id": "ID"},
    ),
    "forged limits": (
        [[], {}, EMBED],
        {"menos_accepted": "forged", "task": "probe.echo", "id": "ID", "timelimit": "abc"},
    ),
    "forged retries": (
        [[], {}, EMBED],
        {"menos_accepted": "forged", "task": "probe.echo", "id": "ID", "retries": "x"},
    ),
}


def test_no_odd_message_ends_the_worker_and_each_has_a_grave_and_an_outcome(
    start_worker, channel, bus
):
    worker = start_worker()
    named = {}
    for name, (body, headers) in ODD.items():
        for content_type in ({}, {"content_type": "application/json", "content_encoding": "utf-8"}):
            task_id = str(uuid4())
            text = body if isinstance(body, (str, bytes)) else json.dumps(body)
            if isinstance(text, str):
                text = text.replace('"ID"', f'"{task_id}"')
            told = {key: task_id if value == "ID" else value for key, value in headers.items()}
            send(channel, text, headers=told, **content_type)
            if task_id in told.values() or (isinstance(text, str) and task_id in text):
                named[task_id] = name
    # A host without the plugin takes any name.
    named[bus.submit("probe.noted")] = "unknown to its worker"
    after = str(uuid4())
    send(channel, {"id": after, "task": "probe.echo", "args": ["still here"]})

    assert ended(bus, after).result == "still here"
    assert worker.poll() is None
    poll(lambda: len(letters(bus)) == 2 * len(ODD) + 1, what="all dead letters")
    assert all(letter.death.reason and letter.death.code for letter in letters(bus))
    told = {letter.death.task: letter.death.reason for letter in letters(bus)}
    assert "; did you mean 'probe.note'? (known: " in told["probe.not"]
    assert told["probe.noted"].endswith("does not register it; did you mean 'probe.note'?")
    for task_id, name in named.items():
        # A compression that nobody knows hides what else the message says.
        if name != "compression":
            outcome = ended(bus, task_id)
            assert outcome.state == "FAILURE", name
            assert outcome.error["code"] in ("malformed", "invalid_call", "unknown_task"), name
            assert outcome.error["message"], name


def test_a_message_that_says_to_be_the_bus_s_own_is_checked_as_any_other(
    start_worker, channel, bus
):
    waiting = bus.submit("probe.echo", (), {"text": "mine"})
    said = {"menos_accepted": "forged", "task": "probe.echo"}
    ids = {name: str(uuid4()) for name in ("plain", "core", "chain", "callback")}
    url = {"menos_callback_url": "http://127.0.0.1:9/"}
    chained = {**EMBED, "chain": [{"task": "probe.echo"}]}
    forged = [
        (waiting, {}, ["theirs"], EMBED),
        (ids["plain"], {}, ["theirs"], EMBED),
        (ids["core"], {"task": "celery.map"}, [{"task": "probe.echo"}, [["x"]]], EMBED),
        (ids["chain"], {}, ["theirs"], chained),
        (ids["callback"], url, ["theirs"], EMBED),
    ]
    start_worker()
    for task_id, headers, args, embed in forged:
        send(channel, [args, {}, embed], headers={**said, "id": task_id, **headers})

    assert ended(bus, waiting).result == "mine"
    assert ended(bus, ids["plain"]).result == "theirs"
    refused = {name: ended(bus, ids[name]) for name in ("core", "chain", "callback")}
    assert "the bus's own" in refused["core"].error["message"]
    assert "chain: is not taken" in refused["chain"].error["message"]
    assert "callback_url: 127.0.0.1 is a loopback address" in refused["callback"].error["message"]


def test_a_call_of_the_time_before_tokens_runs_after_the_update(
    start_worker, channel, bus, fleet_env
):
    waiting = bus.submit("probe.echo", (), {"text": "mine"})
    with redis.Redis.from_url(fleet_env["MENOS_RESULT_BACKEND"]) as store:
        assert store.hdel(f"menos:call:{waiting}", "token") == 1
    message = channel.basic_get("probe")
    headers = {**message.headers, "menos_accepted": True}
    send(channel, message.body, headers=headers, content_type="application/json")
    channel.basic_ack(message.delivery_tag)

    start_worker()

    assert ended(bus, waiting).result == "mine"


def test_a_call_that_the_store_has_lost_is_recorded_anew_and_runs(start_worker, bus, tmp_path):
    marker = tmp_path / "marker"
    failed = bus.submit("probe.flaky", (), {"marker": str(marker), "priority": True})
    bus.app.ledger.forget(failed)
    start_worker()
    ended(bus, failed)
    [letter] = poll(lambda: letters(bus))
    assert (letter.id, letter.death.code, letter.death.tries) == (failed, "busy", 3)

    # Its letter stays, however long ago its outcome has expired.
    bus.app.ledger.forget(failed)
    marker.unlink()
    [replayed] = dead_letters(bus.app).replay(Which(queue="probe"))

    assert replayed.id == failed
    assert ended(bus, failed).error["code"] == "busy"
    assert bus.app.ledger.find(failed).queue == "probe.priority"
    assert len(marker.read_text().splitlines()) == 3


def test_a_dead_letter_that_nobody_may_send_from_outside_is_replayed_after_its_outcome_expired(
    start_worker, bus, channel
):
    start_worker()
    refuse, echo = (bus.app.signature(f"probe.{name}") for name in ("refuse", "echo"))
    failed = refuse.set(link=echo.clone(args=["next"])).apply_async().id
    assert ended(bus, failed).error["code"] == "never"
    poll(lambda: letters(bus))
    bus.app.ledger.forget(failed)

    [replayed] = dead_letters(bus.app).replay(Which(queue="probe"))

    assert replayed.id == failed
    assert ended(bus, failed).error["code"] == "never"


def test_a_dead_letter_that_somebody_forged_is_not_believed_when_it_is_replayed(
    start_worker, bus, channel
):
    start_worker()
    failed = bus.submit("probe.refuse")
    ended(bus, failed)
    poll(lambda: letters(bus))
    list(dead_letters(bus.app).discard(Which(queue="probe")))
    bus.app.ledger.forget(failed)
    headers = {"menos_accepted": "forged", "task": "celery.map", "id": failed}
    body = [[{"task": "probe.echo"}, [["x"]]], {}, EMBED]
    send(channel, body, "probe.dead", headers, content_type="application/json")

    [replayed] = poll(lambda: list(dead_letters(bus.app).replay(Which(queue="probe"))))

    assert replayed.death.code == "unknown"
    assert "the bus's own" in ended(bus, failed).error["message"]


def test_a_forged_message_that_was_refused_is_refused_again_when_it_is_replayed(
    start_worker, bus, channel
):
    start_worker()
    forged = str(uuid4())
    # As calls of the time before tokens say.
    headers = {"menos_accepted": True, "task": "celery.map", "id": forged}
    send(channel, [[{"task": "probe.echo"}, [["x"]]], {}, EMBED], headers=headers)
    poll(lambda: letters(bus))

    list(dead_letters(bus.app).replay(Which(queue="probe")))

    [letter] = poll(lambda: letters(bus))
    assert (letter.death.code, letter.death.rounds) == ("invalid_call", 1)
    assert "the bus's own" in ended(bus, forged).error["message"]


def test_random_messages_are_all_accounted_for(start_worker, channel, bus):
    chance = random.Random(20260201)
    worker = start_worker()
    pieces = [
        None,
        True,
        5,
        -1.5,
        "p",
        "probe.echo",
        [],
        ["a", "b"],
        {},
        {"text": 5},
        "x" * 200_000,
    ]
    words = [
        "task",
        "id",
        "args",
        "kwargs",
        "eta",
        "countdown",
        "chain",
        "retries",
    ]
    runs = 0
    for _ in range(200):
        picked = chance.sample(words, chance.randrange(len(words)))
        said = {word: chance.choice(pieces) for word in picked}
        headers = {
            word: value
            for word, value in said.items()
            if chance.random() < 0.3 and not isinstance(value, float) and value != "x" * 200_000
        }
        body = chance.choice([said, [said.get("args"), said.get("kwargs"), None], "{", b"\x80"])
        send(channel, body, headers=headers)
        runs += 1
    after = str(uuid4())
    send(channel, {"id": after, "task": "probe.echo", "args": ["still here"]})

    assert ended(bus, after).result == "still here"
    assert worker.poll() is None
    # Nothing among them is a whole call, so each is a dead letter.
    poll(lambda: len(letters(bus)) == runs, what="all dead letters")


def test_dead_letters_are_listed_shown_taken_up_again_and_discarded(
    start_worker, channel, bus, fleet_env, tmp_path
):
    start_worker()
    marker = tmp_path / "marker"
    task_id = bus.submit("probe.flaky", (), {"marker": str(marker)})
    ended(bus, task_id)
    send(channel, {"task": "probe.echo", "kwargs": {"x": 1}})
    poll(lambda: len(letters(bus)) == 2)

    listed = json.loads(run_cli("dead", "list", "--json", env=fleet_env).stdout)
    [shown] = [letter for letter in listed if letter["id"] == task_id]
    assert (shown["code"], shown["tries"], shown["rounds"]) == ("busy", 3, 0)
    only = run_cli("dead", "list", "--task", "probe.flaky", "--since", "1h", env=fleet_env).stdout
    assert task_id in only
    assert "probe.echo" not in only
    assert "not yet" in run_cli("dead", "show", task_id, env=fleet_env).stdout

    replayed = run_cli("dead", "replay", task_id, "--json", env=fleet_env)
    assert json.loads(replayed.stdout) == {"replayed": [task_id]}
    poll(lambda: len(marker.read_text().splitlines()) == 6, what="another three tries")
    again = poll(lambda: next((i for i in letters(bus) if i.id == task_id), None))
    assert (again.death.rounds, again.death.tries) == (1, 3)

    assert run_cli("dead", "replay", env=fleet_env).returncode == 2
    unknown = run_cli("dead", "show", "nothing", env=fleet_env)
    assert (unknown.returncode, "no dead letter has the id nothing" in unknown.stderr) == (2, True)
    run_cli("dead", "discard", "--all", "--queue", "probe", env=fleet_env)
    assert letters(bus) == []
    assert bus.outcome(task_id).state == "FAILURE"


def test_what_was_replayed_before_the_broker_refused_is_told_and_the_others_stay(
    start_worker, channel, bus, fleet_env
):
    worker = start_worker()
    ids = []
    for kwargs in ({}, {"priority": True}):
        ids.append(bus.submit("probe.refuse", (), kwargs))
        poll(lambda: len(letters(bus)) == len(ids))
    worker.terminate()
    worker.wait(20)
    channel.queue_delete("probe.priority")

    ended = run_cli("dead", "replay", "--all", "--queue", "probe", "--json", env=fleet_env)

    told = json.loads(ended.stdout)
    assert (told["replayed"], told["error"]["code"]) == (ids[:1], "unavailable")
    assert told["error"]["message"].startswith("1 replayed, then the broker ")
    assert ended.returncode == 2
    assert [letter.id for letter in letters(bus)] == ids[1:]


def replayable(bus, task_id):
    return bus.app.ledger.has_failed(task_id, bus.app.ledger.find(task_id).token)


def test_a_task_without_dead_letters_tells_its_failure_and_leaves_none(start_worker, channel, bus):
    start_worker()
    read, unread, other = (str(uuid4()) for _ in range(3))

    send(channel, {"id": read, "task": "probe.look_up", "args": ["gryphon"]})
    assert ended(bus, read).error == {
        "code": "no_word", "message": "there is no gryphon", "tries": 1
    }  # fmt: skip
    # Neither of these is a failure of that task: the one is no call of it.
    send(channel, {"id": unread, "task": "probe.look_up", "kwargs": {"wort": "gryphon"}})
    send(channel, {"id": other, "task": "probe.refuse"})

    poll(lambda: {letter.id for letter in letters(bus)} >= {unread, other})
    assert {letter.id for letter in letters(bus)} == {unread, other}
    # Only a dead letter may be taken up again when the record of its call has expired.
    assert [replayable(bus, task_id) for task_id in (read, other)] == [False, True]


def test_what_the_broker_gives_up_leaves_no_dead_letter_either(start_worker, channel, bus):
    calls = {"probe.look_up": {"word": "gryphon"}, "probe.echo": {"text": "ha"}}
    ids = [bus.submit(task, (), kwargs) for task, kwargs in calls.items()]

    def given_up():
        # As workers that die before they count: the broker hands it out again, up to its limit.
        while (message := channel.basic_get("probe")) is not None:
            channel.basic_reject(message.delivery_tag, requeue=True)
        return channel.queue_declare(DEAD_LETTERED, passive=True).message_count == len(ids)

    with bus.app.connection_for_write() as connection:
        for queue in dead_letter_queues([]):  # as a worker declares them
            queue.bind(connection.default_channel).declare()
    poll(given_up, what="the broker's limit")
    start_worker()

    assert [ended(bus, task_id).error["code"] for task_id in ids] == ["crash_loop"] * 2
    poll(lambda: letters(bus), what="the dead letter of the task that has some")
    assert [letter.death.task for letter in letters(bus)] == ["probe.echo"]
    assert [replayable(bus, task_id) for task_id in ids] == [False, True]


def test_a_call_that_was_mended_succeeds_under_its_old_id(start_worker, bus, tmp_path, fleet_env):
    start_worker()
    file = tmp_path / "later" / "note"
    task_id = bus.submit("probe.note", (), {"file": str(file), "word": "there"})
    file.parent.mkdir()
    assert ended(bus, task_id).state in ("FAILURE", "SUCCESS")
    poll(lambda: letters(bus) or file.exists())

    if not file.exists():
        run_cli("dead", "replay", "--all", env=fleet_env)

    poll(file.exists)
    assert poll(lambda: bus.outcome(task_id).state == "SUCCESS")


def test_a_replay_that_died_before_it_had_published_is_done_by_the_next_one(
    start_worker, bus, fleet_env, tmp_path
):
    start_worker()
    marker = tmp_path / "marker"
    task_id = bus.submit("probe.flaky", (), {"marker": str(marker)})
    poll(lambda: letters(bus))
    bus.app.ledger.reopen(task_id)

    run_cli("dead", "replay", task_id, env=fleet_env)

    poll(lambda: len(marker.read_text().splitlines()) == 6, what="another three tries")
    assert ended(bus, task_id).state == "FAILURE"
