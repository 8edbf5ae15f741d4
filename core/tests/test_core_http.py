"""The HTTP API over an embedded bus without a worker: what it takes, refuses and describes."""

import asyncio
import json
import threading
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import pytest
import schemathesis
from fastapi import FastAPI, Header, HTTPException
from fastapi.testclient import TestClient
from pydantic import AfterValidator, BaseModel, Field

from menos_bus import BusUnavailable
from menos_bus.doors import submission, turns
from menos_bus.doors.credentials import logins
from menos_bus.doors.http import make_api, make_router
from menos_bus.doors.openapi import example_of, inlined


class Part(BaseModel):
    name: Annotated[str, Field(min_length=3)]
    parts: list["Part"] = []


def greet(who: str, times: Annotated[int, Field(ge=1, le=9, description="How often.")] = 1) -> str:
    """Greet somebody.

    Politely.
    """
    return f"hello {who} " * times


def build(
    part: Part, colour: Literal["red", "blue"], priority: bool = False, properties: str = ""
) -> str: ...


def odd(code: Annotated[str, AfterValidator(lambda _: 1 / 0)]) -> str: ...


@pytest.fixture
def bus(make_bus, make_plugin):
    return make_bus(make_plugin("hello", greet, build))


@pytest.fixture
def api(bus):
    return make_api(bus, logins(bus.settings))


@pytest.fixture
def ask(bus, api):
    """Ask as a caller."""
    client = TestClient(api, raise_server_exceptions=False)
    token = logins(bus.settings).caller.password

    def ask(method, path, **options):
        options["headers"] = {"Authorization": f"Bearer {token}", **options.get("headers", {})}
        return client.request(method, path, **options)

    return ask


@pytest.fixture
def document(ask):
    return ask("GET", "/openapi.json").json()


def is_problem(answer, status, code):
    told = answer.json()
    assert answer.status_code == status, told
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert told["type"] == f"urn:menos-bus:problem:{code}"
    assert (told["status"], told["code"]) == (status, code)
    assert told["title"]
    assert told["detail"]
    assert told["instance"] == answer.request.url.path
    assert "Traceback" not in answer.text
    return told


def fields(answer):
    return [wrong["field"] for wrong in is_problem(answer, 422, "invalid_call")["errors"]]


# submitting


def test_a_call_is_recorded_before_it_is_answered(bus, ask):
    answer = ask("POST", "/tasks/hello.greet", json={"who": "Ada", "times": 2})

    assert answer.status_code == 202
    task_id = answer.json()["task_id"]
    assert answer.json() == {"task_id": task_id, "status": "queued"}
    assert answer.headers["Location"] == f"/tasks/{task_id}"
    assert bus.app.ledger.find(task_id).task == "hello.greet"
    assert bus.app.ledger.find(task_id).message["body"][1] == {"who": "Ada", "times": 2}


def test_the_outcome_is_where_the_answer_says(ask):
    where = ask("POST", "/tasks/hello.greet", json={"who": "Ada"}).headers["Location"]

    answer = ask("GET", where)

    assert answer.status_code == 200
    assert answer.json() == {"task_id": where.rpartition("/")[2], "status": "PENDING"}


def test_a_result_a_failure_and_a_wait_are_read(bus, ask, run_as_worker):
    task_id = ask("POST", "/tasks/hello.greet", json={"who": "Ada"}).json()["task_id"]
    waiting = []
    path = f"/tasks/{task_id}?timeout=30"
    reader = threading.Thread(target=lambda: waiting.append(ask("GET", path).json()))
    reader.start()

    run_as_worker(bus, task_id)
    reader.join(30)

    assert waiting == [{"task_id": task_id, "status": "SUCCESS", "result": "hello Ada "}]


def test_any_content_type_will_do_as_at_the_other_doors(ask):
    plain = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = ask("POST", "/tasks/hello.greet", content='{"who": "Ada"}', headers=plain)

    assert answer.status_code == 202


def test_the_query_says_how_it_is_delivered(bus, ask):
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    query = {"task_id": "mine", "eta": soon, "expires": "7200"}

    answer = ask("POST", "/tasks/hello.greet", json={"who": "Ada"}, params=query)

    assert answer.json()["task_id"] == "mine"
    headers = bus.app.ledger.find("mine").message["headers"]
    assert headers["eta"]
    assert headers["expires"]


def test_a_key_in_the_header_is_the_reserved_argument(ask):
    key = {"Idempotency-Key": "k1"}

    first = ask("POST", "/tasks/hello.greet", json={"who": "Ada"}, headers=key)
    again = ask("POST", "/tasks/hello.greet", json={"who": "Ada", "idempotency_key": "k1"})
    both = ask(
        "POST", "/tasks/hello.greet", json={"who": "Ada", "idempotency_key": "k1"}, headers=key
    )
    none = ask(
        "POST", "/tasks/hello.greet", json={"who": "Ada", "idempotency_key": None}, headers=key
    )
    other = ask("POST", "/tasks/hello.greet", json={"who": "Bob"}, headers=key)

    assert first.json() == again.json() == both.json() == none.json()
    is_problem(other, 409, "conflict")


def test_a_path_of_the_public_contract_is_there_also_without_its_plugin(ask):
    answer = ask("POST", "/youtube/ingest-async", json={"url": "dQw4w9WgXcQ"})

    assert "tasks.ingest_youtube" in is_problem(answer, 404, "unknown_task")["detail"]


def test_a_path_of_the_public_contract_is_its_task(make_bus, make_plugin):
    def ingest_youtube(url: str): ...

    bus = make_bus(make_plugin("youtube", ingest_youtube, name="tasks.ingest_youtube"))
    known = logins(bus.settings)
    client = TestClient(make_api(bus, known), headers={"Authorization": known.caller.basic})

    answer = client.post("/youtube/ingest-async", json={"url": "dQw4w9WgXcQ"})

    assert answer.status_code == 202
    assert bus.app.ledger.find(answer.json()["task_id"]).task == "tasks.ingest_youtube"


# refusals


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, ["who"]),
        ({"who": 5}, ["who"]),
        ({"who": "Ada", "times": "many"}, ["times"]),
        ({"who": "Ada", "times": 0, "colour": "red"}, ["times", "colour"]),
        ({"who": "Ada", "priority": "yes"}, ["priority"]),
        ({"who": "Ada", "idempotency_key": ""}, ["idempotency_key"]),
        ({"who": "x" * 100_001}, ["who"]),
        ([], ["body"]),
        ("text", ["body"]),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_queued(bus, ask, body, named):
    answer = ask("POST", "/tasks/hello.greet", json=body)

    assert fields(answer) == named
    assert bus.app.ledger.depths() == {}


@pytest.mark.parametrize("body", [b"{", b"null", b"\xff\xfe", b"[" * 100_000, b'{"who": NaN}'])
def test_a_body_that_is_no_json_is_refused(ask, body):
    assert fields(ask("POST", "/tasks/hello.greet", content=body)) == ["body"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"queue": "ghost"}, "queue"),
        ({"args": "x"}, "args"),
        ({"kwargs": "{}"}, "kwargs"),
        ({"countdown": "-1"}, "countdown"),
        ({"countdown": "nan"}, "countdown"),
        ({"countdown": "soon"}, "countdown"),
        ({"countdown": "9e9"}, "countdown"),
        ({"eta": "60"}, "eta"),
        ({"eta": "2001-01-01T00:00:00Z"}, "eta"),
        ({"task_id": "a b"}, "task_id"),
        ({"task_id": ["a", "b"]}, "task_id"),
    ],
)
def test_a_wrong_option_is_named(ask, query, named):
    answer = ask("POST", "/tasks/hello.greet", json={"who": "Ada"}, params=query)

    assert named in fields(answer)[0]


def test_two_different_keys_are_refused(ask):
    answer = ask(
        "POST",
        "/tasks/hello.greet",
        json={"who": "Ada", "idempotency_key": "a"},
        headers={"Idempotency-Key": "b"},
    )

    assert fields(answer) == ["Idempotency-Key"]


def test_unknown_tasks_ids_paths_and_methods_are_problems(ask):
    assert "hello.greet" in is_problem(ask("POST", "/tasks/nope"), 404, "unknown_task")["detail"]
    is_problem(ask("GET", "/tasks/nope"), 404, "unknown_task_id")
    assert "POST /tasks/TASK" in is_problem(ask("GET", "/nope"), 404, "not_found")["detail"]
    is_problem(ask("GET", "/tasks/"), 404, "not_found")
    for method in ("GET", "DELETE"):
        wrong = ask(method, "/tasks/hello.greet")
        told = is_problem(wrong, 405, "bad_request")["detail"]
        assert told.startswith(f"/tasks/hello.greet takes POST, not {method}: see /docs")
        assert wrong.headers["Allow"] == "POST"


@pytest.mark.parametrize("seconds", ["nan", "inf", "soon", ""])
def test_a_timeout_that_is_no_number_is_refused(ask, seconds):
    assert fields(ask("GET", f"/tasks/x?timeout={seconds}")) == ["timeout"]


def test_a_body_that_is_too_large_is_not_read_to_its_end(bus, api, ask, monkeypatch):
    monkeypatch.setattr(submission, "MAX_BODY", 1024**2)
    is_problem(ask("POST", "/tasks/hello.greet", content=b" " * 1024**2 + b"{}"), 413, "too_large")
    token = logins(bus.settings).caller.password
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/tasks/hello.greet", "raw_path": b"/tasks/hello.greet", "query_string": b"",
        "root_path": "", "headers": [(b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    parts, answers = [], []

    async def endless():
        parts.append(b" " * 512 * 1024)
        return {"type": "http.request", "body": parts[-1], "more_body": len(parts) < 20}

    async def send(message):
        answers.append(message)

    # The test client would read it all before it asks.
    asyncio.run(api(scope, endless, send))

    assert answers[0]["status"] == 413
    assert len(parts) == 3


def test_a_bus_that_takes_no_calls_is_503_and_says_when_to_try_again(bus, ask, monkeypatch):
    def submit(*_, **__):
        raise BusUnavailable("the broker does not take messages now: try again")

    # The broker's part; tests/test_fleet.py has a real one that is down.
    monkeypatch.setattr(bus, "submit", submit)

    answer = ask("POST", "/tasks/hello.greet", json={"who": "Ada"})

    is_problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "10"


def test_more_calls_than_the_broker_lets_through_are_told_so_soon(bus, ask, monkeypatch):
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.05)
    go_on, started = threading.Event(), threading.Semaphore(0)

    def submit(*_, **__):
        started.release()
        go_on.wait(30)
        return "id"

    # A broker that hangs.
    monkeypatch.setattr(bus, "submit", submit)
    with TestClient(make_api(bus, logins(bus.settings))) as client:
        login = {"Authorization": f"Bearer {logins(bus.settings).caller.password}"}
        post = {"url": "/tasks/hello.greet", "json": {"who": "Ada"}, "headers": login}
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.post(**post)))
            for _ in range(turns.AT_A_TIME)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert started.acquire(timeout=30)

        refused = client.post(**post)
        read = client.get("/health")
        go_on.set()
        for thread in threads:
            thread.join(30)

    is_problem(refused, 503, "unavailable")
    assert read.status_code == 200
    assert {answer.status_code for answer in answers} == {202}


def test_a_defect_is_told_without_its_traceback(make_bus, make_plugin):
    bus = make_bus(make_plugin("odd", odd))
    known = logins(bus.settings)
    client = TestClient(make_api(bus, known), raise_server_exceptions=False)

    answer = client.post(
        "/tasks/odd.odd", json={"code": "x"}, headers={"Authorization": known.caller.basic}
    )

    told = is_problem(answer, 500, "internal_error")
    assert "division" not in str(told)


# logins


def basic(text):
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tasks/hello.greet"),
        ("POST", "/tasks/nope"),
        ("POST", "/youtube/ingest-async"),
        ("GET", "/tasks"),
        ("GET", "/tasks/nope"),
    ],
)
@pytest.mark.parametrize(
    "header", ["", "Bearer no", "Bearer pässword", basic("caller:no"), basic("caller:ä"), "Basic !"]
)
def test_without_a_login_there_is_nothing(ask, method, path, header):
    answer = ask(method, path, headers={"Authorization": header.encode()}, content=b" " * 100)

    is_problem(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_both_roles_come_in_with_either_scheme(bus, ask):
    known = logins(bus.settings)
    for login in (known.caller, known.operator):
        for header in (login.basic, f"Bearer {login.password}"):
            assert ask("GET", "/tasks", headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize(
    "told", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}]
)
def test_a_page_of_another_site_cannot_use_the_browsers_login(bus, ask, told):
    foreign = {**told, "Authorization": logins(bus.settings).caller.basic}

    answer = ask("POST", "/tasks/hello.greet", json={"who": "Ada"}, headers=foreign)

    is_problem(answer, 403, "forbidden")
    assert bus.app.ledger.depths() == {}


@pytest.mark.parametrize(
    "told", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://testserver"}, {}]
)
def test_a_page_of_its_own_and_a_program_can_use_user_and_password(bus, ask, told):
    own = {**told, "Authorization": logins(bus.settings).caller.basic}

    answer = ask("POST", "/tasks/hello.greet", json={"who": "Ada"}, headers=own)

    assert answer.status_code == 202


# state


def test_health_and_readiness_are_open(api):
    client = TestClient(api)

    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}


def test_what_is_not_ready_is_named(make_bus, make_plugin):
    nowhere = {"broker_url": "amqp://127.0.0.1:1//", "result_backend": "redis://127.0.0.1:1/7"}
    bus = make_bus(make_plugin("hello", greet), **nowhere)

    answer = TestClient(make_api(bus, logins(bus.settings))).get("/ready")

    told = is_problem(answer, 503, "unavailable")
    assert [wrong["field"] for wrong in told["errors"]] == ["broker", "results"]
    assert "127.0.0.1" not in answer.text


# the document


def test_the_document_is_open_valid_and_has_no_secret(bus, api):
    shown = TestClient(api).get("/openapi.json")

    assert shown.json()["openapi"].startswith("3.1")
    assert schemathesis.openapi.from_dict(shown.json()).validate() is None
    known = logins(bus.settings)
    assert known.caller.password not in shown.text
    assert known.operator.password not in shown.text
    assert set(shown.json()["components"]["securitySchemes"]) == {"bearer", "basic"}


def test_every_task_is_in_the_document_with_its_parameters(bus, document):
    for name, spec in bus.registry.items():
        told = document["paths"][f"/tasks/{name}"]["post"]
        schema = told["requestBody"]["content"]["application/json"]["schema"]

        assert told["summary"] == (spec.summary or name)
        assert told.get("description", "") == spec.description
        assert {"bearer": []} in told["security"]
        own = spec.signature.parameters_schema["properties"]
        assert schema["properties"].keys() == {
            *own,
            "callback_url",
            "idempotency_key",
            "priority",
        }
        assert schema["additionalProperties"] is False
    times = document["paths"]["/tasks/hello.greet"]["post"]["requestBody"]["content"]
    assert times["application/json"]["schema"]["properties"]["times"]["description"] == "How often."
    assert times["application/json"]["example"] == {"who": "who"}


def test_the_delivery_is_in_the_document(document):
    parameters = document["paths"]["/tasks/hello.greet"]["post"]["parameters"]

    assert [(told["name"], told["in"]) for told in parameters] == [
        ("task_id", "query"),
        ("countdown", "query"),
        ("eta", "query"),
        ("expires", "query"),
        ("Idempotency-Key", "header"),
    ]
    assert all(told["description"] for told in parameters)


def test_references_are_resolved_and_a_type_within_itself_is_anything(bus):
    schema = inlined(bus.registry["hello.build"].signature.parameters_schema)

    assert "$ref" not in json.dumps(schema)
    part = schema["properties"]["part"]
    assert part["properties"]["name"]["minLength"] == 3
    assert part["properties"]["parts"]["items"] == {}
    assert schema["properties"]["properties"]["type"] == "string"


def test_an_example_is_one_that_is_taken(bus, ask):
    example = example_of(bus.registry["hello.build"])

    assert example == {"part": {"name": "name"}, "colour": "red"}
    assert ask("POST", "/tasks/hello.build", json=example).status_code == 202


def test_an_example_that_would_be_refused_is_not_shown(make_bus, make_plugin):
    def find(pattern: Annotated[str, Field(pattern="^x+$")]): ...

    bus = make_bus(make_plugin("p", find))

    assert example_of(bus.registry["p.find"]) is None


def test_the_tasks_can_be_listed(bus, ask):
    assert ask("GET", "/tasks").json() == {
        "tasks": [spec.as_json() for spec in bus.registry.values()]
    }


def test_the_page_shows_every_task_and_loads_nothing_from_elsewhere(make_bus, make_plugin):
    def sly(text: Annotated[str, Field(description="<script>alert(1)</script>")]) -> None:
        """Do <b>it</b>."""

    bus = make_bus(make_plugin("hello", greet, sly))
    shown = TestClient(make_api(bus, logins(bus.settings))).get("/docs")

    assert shown.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    assert "POST /tasks/hello.greet" in shown.text
    assert "-d &#x27;{&quot;who&quot;: &quot;who&quot;}&#x27;" in shown.text
    assert "<b>it" not in shown.text
    assert "<script" not in shown.text
    assert "//cdn" not in shown.text


def test_the_page_shows_code_as_code_and_the_fields_of_an_object(make_bus, make_plugin):
    class Place(BaseModel):
        town: str
        street: str = ""

    def visit(place: Annotated[Place, Field(description="See `menos-bus tasks`.")]) -> None:
        """Call `visit`, or <i>not</i>."""

    bus = make_bus(make_plugin("hello", visit))
    shown = TestClient(make_api(bus, logins(bus.settings))).get("/docs").text

    assert "Call <code>visit</code>, or &lt;i&gt;not" in shown
    assert "See <code>menos-bus tasks</code>." in shown
    assert "object with town, street" in shown


# in somebody's own application


def test_the_router_is_mounted_in_another_application(bus):
    def authorize(x_key: Annotated[str, Header()] = ""):
        if x_key != "mine":
            raise HTTPException(418, "not yours")

    app = FastAPI()
    app.include_router(make_router(bus, authorize), prefix="/bus")
    client = TestClient(app, headers={"X-Key": "mine"})

    answer = client.post("/bus/tasks/hello.greet", json={"who": "Ada"})

    assert answer.status_code == 202
    assert client.get(answer.headers["Location"]).json()["status"] == "PENDING"
    assert client.get("/bus/tasks", headers={"X-Key": "no"}).status_code == 418
    is_problem(client.post("/bus/tasks/hello.greet", json={}), 422, "invalid_call")
    is_problem(client.get("/bus/tasks/nope"), 404, "unknown_task_id")
    document = client.get("/openapi.json").json()
    assert schemathesis.openapi.from_dict(document).validate() is None
    assert "/bus/tasks/hello.greet" in document["paths"]


def test_the_whole_api_is_mounted_below_a_path(bus):
    app = FastAPI()
    known = logins(bus.settings)
    app.mount("/bus", make_api(bus, known))
    client = TestClient(app, headers={"Authorization": known.caller.basic})

    answer = client.post("/bus/tasks/hello.greet", json={"who": "Ada"})

    assert client.get(answer.headers["Location"]).status_code == 200
