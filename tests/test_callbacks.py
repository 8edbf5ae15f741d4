"""Callbacks, from the end of a task to a real receiver, in one process and on a fleet."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook

from conftest import RABBITMQ
from menos_bus import Bus, BusSettings
from menos_bus.callbacks.signing import new_secret
from running import poll, run_cli


class Receiver:
    """Notes what it gets, and answers the next of some statuses, 200 after the last."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(received.answers.pop(0) if received.answers else 200)
                self.send_header("Location", "http://169.254.169.254/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.place}/hook?signed=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self, count: int) -> list[dict[str, Any]]:
        poll(lambda: len(self.got) >= count, what=f"{count} callback(s)")
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def settings(receiver: Receiver) -> dict[str, str]:
    return {
        "MENOS_CALLBACK_ALLOW": receiver.place,
        "MENOS_CALLBACK_SECRET": new_secret(),
        "MENOS_CALLBACK_TOKEN": "token",
    }


def test_success_and_failure_are_told_and_signed(start, probe, receiver, settings):
    bus = start(**settings)

    done = bus.submit("probe.echo", "hä", callback_url=receiver.url)
    receiver.bodies(1)
    failed = bus.submit("probe.refuse", callback_url=receiver.url)
    first, second = receiver.bodies(2)

    assert (first["type"], second["type"]) == ("task.succeeded", "task.failed")
    assert first["data"] == {
        "task_id": done,
        "task": "probe.echo",
        "state": "SUCCESS",
        "result": "hä",
    }
    assert second["data"] == {
        "task_id": failed,
        "task": "probe.refuse",
        "state": "FAILURE",
        "error": {"code": "never", "message": "that will never do", "tries": 1},
    }
    for headers, body in receiver.got:
        assert headers["x-menos-token"] == "token"
        Webhook(settings["MENOS_CALLBACK_SECRET"]).verify(body, headers)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2


def test_a_receiver_that_is_not_ready_gets_the_same_event_again(start, probe, receiver, settings):
    receiver.answers = [409, 409]
    bus = start(**settings)

    bus.submit("probe.echo", "x", callback_url=receiver.url)
    receiver.bodies(3)

    assert len({(headers["webhook-id"], body) for headers, body in receiver.got}) == 1


def test_a_receiver_that_fails_is_tried_again_and_redirects_are_not_followed(
    start, probe, receiver, settings
):
    receiver.answers = [302]
    bus = start(**settings)

    bus.submit("probe.echo", "x", callback_url=receiver.url)

    receiver.bodies(2)
    assert {body for _, body in receiver.got} == {receiver.got[0][1]}, "the same event again"


def test_a_receiver_that_is_gone_is_not_tried_again(start, probe, receiver, settings):
    receiver.answers = [410]
    bus = start(**settings)

    bus.submit("probe.echo", "x", callback_url=receiver.url)
    receiver.bodies(1)

    letters = poll(lambda: json.loads(bus.cli("dead", "list", "--json").stdout))
    assert letters[0]["task"] == "callbacks.deliver"
    assert letters[0]["code"] == "callback_refused"
    assert receiver.url not in letters[0]["reason"]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://169.254.169.254/", "http://[::1]/", "ftp://example.org/", "x"],
)
def test_a_callback_into_the_network_is_refused_at_the_door(bus, url):
    answer = bus.request(
        "POST", "/api/task/async-apply/probe.echo",
        json={"args": ["x"], "kwargs": {"callback_url": url}},
    )  # fmt: skip

    assert answer.status_code == 422
    assert answer.json()["error"]["fields"][0]["field"] == "callback_url"


def test_what_is_owed_when_the_bus_is_killed_is_sent_at_the_next_start(
    start, probe, receiver, settings, clean_env
):
    bus = start(**settings)
    died = str(bus.home / "died")
    task_id = bus.submit_its_death("probe.die", died, callback_url=receiver.url)

    start(**settings, MENOS_DELIVERY_LIMIT="1")

    [body] = receiver.bodies(1)
    assert body["data"]["task_id"] == task_id
    assert body["data"]["error"]["code"] == "crash_loop"


def test_a_plugin_may_send_callbacks_in_its_own_way(start, probe, install, settings, tmp_path):
    install("courier", COURIER)
    bus = start(**settings, COURIER_FILE=str(tmp_path / "sent"))

    bus.submit("probe.echo", "x", callback_url="https://example.org/hook")

    sent = json.loads(
        poll(lambda: (tmp_path / "sent").exists() and (tmp_path / "sent").read_text())
    )
    assert sent["url"] == "https://example.org/hook"
    assert sent["body"]["data"]["result"] == "x"
    assert sent["signed"]


COURIER = """
import json, os
from pathlib import Path
from menos_bus import hookimpl

@hookimpl
def deliver_callback(url, body, headers):
    told = {"url": url, "body": json.loads(body), "signed": "webhook-signature" in headers}
    Path(os.environ["COURIER_FILE"]).write_text(json.dumps(told))
    return 200
"""


def test_a_failed_call_that_is_taken_up_again_tells_its_new_end(start, probe, receiver, settings):
    bus = start(**settings)
    task_id = bus.submit("probe.refuse", callback_url=receiver.url)
    receiver.bodies(1)

    replayed = bus.cli("dead", "replay", task_id, "--json")

    assert json.loads(replayed.stdout) == {"replayed": [task_id]}
    receiver.bodies(2)
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert ids[0] != ids[1]
    [letter] = json.loads(bus.cli("dead", "list", "--json").stdout)
    assert letter["rounds"] == 1
    bus.cli("dead", "discard", task_id)
    assert "No dead letters" in bus.cli("dead", "list").stdout
    assert bus.outcome(task_id)["state"] == "FAILURE"


def test_a_fleet_sends_callbacks_of_good_and_of_malformed_calls(
    start_worker: Callable[..., Any], fleet_env, receiver, settings
):
    import amqp

    start_worker(**settings)
    door = BusSettings.load(
        broker_url=fleet_env["MENOS_BROKER_URL"],
        result_backend=fleet_env["MENOS_RESULT_BACKEND"],
        callback_allow=settings["MENOS_CALLBACK_ALLOW"],
    )
    bus = Bus(door, [])
    task_id = bus.submit("probe.echo", (), {"text": "x", "callback_url": receiver.url})
    malformed = {"task": "probe.echo", "kwargs": {"callback_url": receiver.url}}
    with amqp.Connection(RABBITMQ, userid="guest", password="guest") as connection:
        message = amqp.Message(json.dumps(malformed))
        connection.channel().basic_publish(message, exchange="", routing_key="probe")

    bodies = sorted(receiver.bodies(2), key=lambda body: body["type"])

    assert bodies[0]["data"]["error"]["code"] == "invalid_call"
    assert bodies[1]["data"]["task_id"] == task_id
    for headers, body in receiver.got:
        Webhook(settings["MENOS_CALLBACK_SECRET"]).verify(body, headers)
    bus.app.close()


@pytest.mark.parametrize(
    ("name", "value"), [("MENOS_CALLBACK_SECRET", "short"), ("MENOS_CALLBACK_ALLOW", "a b")]
)
def test_a_wrong_setting_is_named_and_no_secret_is_shown(clean_env, probe, name, value):
    refused = run_cli("up", env={**clean_env, name: value})

    assert refused.returncode == 2
    assert name in refused.stderr
    assert name == "MENOS_CALLBACK_ALLOW" or value not in refused.stderr
