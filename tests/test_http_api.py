"""The HTTP API as a process serves it: what it describes is what it does."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import httpx
import pytest
from kombu import Connection

from forked import Command
from running import poll, run_cli

BROKER = "amqp://guest:guest@127.0.0.1:5672//"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

SHOP = '''
from typing import Annotated, Literal
from pydantic import BaseModel, Field
from menos_bus import Permanent, hookimpl

@hookimpl
def register_tasks(register):
    for function in (echo, order, ping, refuse):
        register(function)

class Part(BaseModel):
    weight: Annotated[float, Field(gt=0, strict=True)]

class Item(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=50)]
    # Strict, because otherwise "1" and true are whole numbers, too.
    count: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    parts: list[Part] = []

def echo(text: str, times: Annotated[int, Field(ge=0, le=10, strict=True)] = 1) -> str:
    """Say it again."""
    return text * times

def order(
    items: Annotated[list[Item], Field(max_length=20)],
    colour: Literal["red", "blue"] = "red",
    note: str | None = None,
    priority: bool = False,
) -> int:
    """Order things."""
    return sum(item.count for item in items)

def ping() -> str:
    return "pong"

def refuse(why: str = "no") -> None:
    raise Permanent(why, code="never")
'''


@pytest.fixture
def shop(install, start):
    """A bus with tasks of all kinds of parameters, and a caller at its HTTP API."""
    install("shop", SHOP)
    bus = start(MENOS_PLUGINS="shop")
    told = json.loads((bus.home / "bus.json").read_text())
    token = {"Authorization": f"Bearer {told['caller_password']}"}
    with httpx.Client(
        base_url=told["api_url"], headers=token, trust_env=False, timeout=60
    ) as client:
        yield client


def schemathesis(client: httpx.Client, document: str, folder: Path, *options: str) -> None:
    """Everything that Schemathesis can think of, by what the document says."""
    header = f"Authorization: {client.headers['Authorization']}"
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", document, "--url", str(client.base_url), "--header", header),
            *("--seed", "1", "--generation-deterministic", "--max-examples", "5"),
            *("--request-timeout", "20", "--no-color", "--warnings", "off"),
            # No link of this document leads from one call to the next, as the stateful phase needs.
            *("--phases", "examples,coverage,fuzzing", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* generated", done.stdout), done.stdout


def document_without(client: httpx.Client, folder: Path, *, delivery: bool) -> str:
    """The document in a file, without what no schema can tell the whole truth about.

    Always left out is ``callback_url``, so that nothing is sent to addresses that were made up.
    """
    document = client.get("/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            if body := operation.get("requestBody"):
                del body["content"]["application/json"]["schema"]["properties"]["callback_url"]
                if delivery:
                    del operation["parameters"]
    (folder / "openapi.json").write_text(json.dumps(document))
    return "openapi.json"


def test_whatever_is_sent_the_answer_is_one_that_the_document_has(shop, tmp_path):
    document = document_without(shop, tmp_path, delivery=False)

    # Options of the delivery that exclude each other, or a time long ago, are refused, which no
    # schema can say; the next test does without them.
    schemathesis(shop, document, tmp_path, "--exclude-checks", "positive_data_acceptance")

    assert shop.get("/ready").status_code == 200


def test_what_the_schema_allows_is_taken_and_what_it_forbids_is_refused(shop, tmp_path):
    document = document_without(shop, tmp_path, delivery=True)

    schemathesis(shop, document, tmp_path, "--include-method", "POST")


def test_a_call_is_submitted_and_its_end_awaited(shop):
    accepted = shop.post("/tasks/shop.echo", json={"text": "ha", "times": 2})
    outcome = shop.get(accepted.headers["Location"], params={"timeout": 30})
    failed = shop.post("/tasks/shop.refuse", json={"why": "closed"})
    failure = shop.get(failed.headers["Location"], params={"timeout": 30})

    assert accepted.json() == {"task_id": accepted.json()["task_id"], "status": "queued"}
    assert outcome.json() == {**accepted.json(), "status": "SUCCESS", "result": "haha"}
    assert failure.json()["error"] == {"code": "never", "message": "closed", "tries": 1}


def test_ctrl_c_does_not_wait_for_those_who_wait_for_a_result(start, probe, tmp_path):
    bus = start(MENOS_SHUTDOWN_GRACE="0")
    told = json.loads((bus.home / "bus.json").read_text())
    until = tmp_path / "until"
    task_id = bus.submit("probe.steps", str(until))
    poll(lambda: bus.outcome(task_id)["state"] == "PROGRESS", what="PROGRESS")
    waiting = subprocess.Popen(
        [
            *("curl", "-s", "-o", "/dev/null", "-u", f"{bus.user}:{bus.password}"),
            f"{told['api_url']}/tasks/{task_id}?timeout=600",
        ]
    )

    assert bus.stop() == 0
    assert waiting.wait(30) is not None


def test_a_port_in_use_is_named_with_its_setting(start, tmp_path):
    bus = start(MENOS_PLUGINS="")
    port = json.loads((bus.home / "bus.json").read_text())["api_url"].rpartition(":")[2]

    second = run_cli(
        *("up", "--api-port", port), env={**bus.env, "MENOS_HOME": str(tmp_path / "other")}
    )

    assert second.returncode == 2
    assert "MENOS_API_PORT" in second.stderr
    assert "Traceback" not in second.stderr


def test_an_api_of_its_own_needs_a_broker(clean_env):
    refused = run_cli("api", env=clean_env)

    assert refused.returncode == 2
    assert "MENOS_BROKER_URL" in refused.stderr


NOWHERE = {
    "MENOS_PLUGINS": "",
    "MENOS_BROKER_URL": "amqp://guest:guest@127.0.0.1:1//",
    "MENOS_RESULT_BACKEND": "redis://127.0.0.1:1/7",
}
"""Servers that are away."""


def test_an_api_of_its_own_says_where_the_password_is_that_it_made(clean_env, tmp_path):
    process, output = api(
        "--port", "0", env={**clean_env, **NOWHERE, "MENOS_FLOWER_PASSWORD": "known"}
    )
    try:
        url = re.search(r"http://\S+", output.readline())
        told = re.fullmatch(r"Without MENOS_CALLER_PASSWORD: .* in (/\S+)\n", output.readline())
        assert url
        assert told
        made = json.loads(Path(told[1]).read_text())
        client = httpx.Client(auth=("caller", made["caller_password"]), trust_env=False)
        assert client.get(f"{url[0]}/tasks").json() == {"tasks": []}
    finally:
        process.kill()
        output.close()


def api(*words: str, env: dict[str, str]) -> tuple[Command, IO[str]]:
    """Start ``menos-bus api``; gives what it prints, too."""
    read, write = os.pipe()
    process = Command("api", *words, env=env, stdout=write)
    os.close(write)
    return process, os.fdopen(read)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_api_of_its_own_ends_in_good_order(clean_env, end):
    process, output = api(
        "--port", "0", env={**clean_env, **NOWHERE, "MENOS_CALLER_PASSWORD": "secret"}
    )
    try:
        url = re.search(r"http://\S+", output.readline())
        assert url
        client = httpx.Client(base_url=url[0], auth=("caller", "secret"), trust_env=False)

        assert client.get("/health").status_code == 200
        assert client.get("/ready", timeout=20).status_code == 503
        assert client.get("/tasks").json() == {"tasks": []}
        refused = client.post("/youtube/ingest-async", json={"url": "x"}, timeout=20)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        assert refused.headers["Content-Type"] == "application/problem+json"
        process.send_signal(end)
        assert process.wait(20) == 0
    finally:
        process.kill()
        output.close()


def test_an_api_of_its_own_takes_calls_for_a_fleet(clean_env, install, tmp_path):
    for name, port in (("RabbitMQ", 5672), ("Redis", 6379)):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            pytest.skip(f"{name} does not run on 127.0.0.1:{port}")
    install("apishop", SHOP)
    env = {
        **clean_env,
        "MENOS_PLUGINS": "apishop",
        "MENOS_BROKER_URL": BROKER,
        "MENOS_RESULT_BACKEND": "redis://127.0.0.1:6379/7",
        "MENOS_CALLER_PASSWORD": "secret",
    }
    worker = Command("worker", "--concurrency", "1", env=env)
    door, output = api(env=env)
    try:
        url = re.search(r"http://\S+", output.readline())
        login = {"Authorization": "Bearer secret"}
        with httpx.Client(base_url=url[0], headers=login, trust_env=False, timeout=60) as client:
            assert client.get("/ready").json() == {"status": "ready"}
            accepted = client.post("/tasks/apishop.echo", json={"text": "ha", "times": 2})
            outcome = client.get(accepted.headers["Location"], params={"timeout": 50})

            assert outcome.json()["result"] == "haha"
            assert "/tasks/tasks.store_content" in client.get("/openapi.json").json()["paths"]
            assert client.post("/tasks/other.task", json={}).status_code == 404
    finally:
        for process in (door, worker):
            process.terminate()
        assert [process.wait(60) for process in (door, worker)] == [0, 0]
        output.close()
        with Connection(BROKER) as connection:
            for queue in ("apishop", "apishop.priority", "apishop.dead"):
                connection.default_channel.queue_delete(queue)
