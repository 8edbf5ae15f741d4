"""Who may do what at Flower's door: two roles, and closed to callers unless said otherwise."""

import asyncio
import re
import threading
from base64 import b64encode

import httpx
import pytest
from flower.urls import handlers
from flower.views import BaseHandler

from menos_bus import Bus, BusSettings
from menos_bus.doors.credentials import Credentials, Logins
from menos_bus.doors.flower import make_flower
from menos_bus.doors.refusals import MAX_BODY, TOO_LARGE

OPERATOR, CALLER = ("menos", "op"), ("caller", "ca")


class LaterVersionHandler(BaseHandler):
    """What a Flower of tomorrow may bring."""

    def get(self):
        self.write("secret")

    post = get


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A Flower that really listens; a process can have one only."""
    settings = BusSettings.load(
        home=tmp_path_factory.mktemp("home"), flower_port=0, broker_api="http://rabbit/api/"
    )
    known = Logins(Credentials(*OPERATOR), Credentials(*CALLER))
    told, ready, end = [], threading.Event(), []

    async def serve():
        app = make_flower(Bus(settings, []), known)
        app.add_handlers(".*", [("/api/later", LaterVersionHandler)])
        told.append((app.start_http_server(), app.options.broker_api))
        end.append((asyncio.get_running_loop(), stop := asyncio.Event()))
        ready.set()
        await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    port, broker_api = told[0]
    assert broker_api == "http://rabbit/api/"
    yield f"http://127.0.0.1:{port}"
    end[0][0].call_soon_threadsafe(end[0][1].set)
    thread.join(10)


@pytest.fixture
def ask(url):
    with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=30) as client:
        yield client.request


def of_flower():
    """A path for every handler that the installed Flower has."""
    for handler in handlers:
        pattern = handler.regex.pattern if hasattr(handler, "regex") else handler[0]
        path = re.sub(r"\(\.[+*]\)", "x", pattern.rstrip("$")).replace("/?", "")
        if path != ".*":
            yield path


FOR_CALLERS = {
    "/api/task/async-apply/x",
    "/api/task/send-task/x",
    "/api/task/apply/x",
    "/api/task/result/x",
    "/api/task/types",
    "/api/queues/length",
    "/healthcheck",
}


@pytest.mark.parametrize("path", [*of_flower(), "/api/later"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_caller_gets_nothing_of_flower_but_calls_and_results(ask, method, path):
    answer = ask(method, path, auth=CALLER)

    if path in FOR_CALLERS:
        assert answer.status_code not in (401, 403)
    else:
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden"
        assert "submit calls" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [*of_flower(), "/api/later", "/no/such/page", "/api/health"])
@pytest.mark.parametrize("user", [None, ("menos", "no"), ("menos", "pässword")])
def test_nobody_gets_anything_without_a_login(ask, path, user):
    wrong = {} if user is None else {"Authorization": basic(*user)}

    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = ask(method, path, headers=wrong)

        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"
        assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/tasks", "/metrics", "/api/workers", "/api/later", "/api/health"]
)
def test_the_operator_sees_everything_with_either_scheme(ask, path):
    assert ask("GET", path, auth=OPERATOR).status_code == 200
    assert ask("GET", path, headers={"Authorization": "Bearer op"}).status_code == 200


def test_the_passwords_of_the_two_are_not_mixed_up(ask):
    assert ask("GET", "/api/task/types", auth=("caller", "op")).status_code == 401
    assert ask("GET", "/api/task/types", auth=("menos", "ca")).status_code == 401
    assert ask("GET", "/", headers={"Authorization": "Bearer ca"}).status_code == 403


@pytest.mark.parametrize("path", ["/api/task/types", "/api/health", "/healthcheck"])
def test_a_caller_may_use_a_bearer_token(ask, path):
    assert ask("GET", path, headers={"Authorization": "Bearer ca"}).status_code == 200


@pytest.mark.parametrize("login", [OPERATOR, CALLER])
@pytest.mark.parametrize("path", ["/api/nothing", "/api/task/async-apply/", "/api/", "/tasks/x"])
def test_a_path_that_does_not_exist_is_404_in_json_and_says_how_a_call_is_submitted(
    ask, login, path
):
    answer = ask("GET", path, auth=login)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    for named in (path, "POST /api/task/async-apply/TASK", "docs/doors.md"):
        assert named in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/task/async-apply/x", "POST"),
        ("GET", "/api/task/apply/x", "POST"),
        ("PUT", "/api/task/send-task/x", "POST"),
        ("POST", "/api/task/result/x", "GET"),
        ("DELETE", "/api/task/types", "GET"),
        ("GET", "/api/worker/shutdown/x", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_one_and_where_it_is_described(ask, method, path, allow):
    answer = ask(method, path, auth=OPERATOR)

    assert (answer.status_code, answer.headers["Allow"]) == (405, allow)
    assert answer.json()["error"] == {
        "code": "bad_request",
        "message": f"{path} takes {allow}, not {method}: see docs/doors.md",
    }


def test_parameters_that_are_not_in_kwargs_get_a_hint(ask):
    answer = ask("POST", "/api/task/async-apply/x", auth=CALLER, json={"query": "bees"})

    assert answer.status_code == 422
    assert 'did you mean {"kwargs": {"query": ...}}?' in answer.json()["error"]["message"]


@pytest.mark.parametrize("size", [MAX_BODY + 1, 120_000_000])
def test_a_body_that_is_too_large_is_thrown_away_and_answered(ask, size):
    body = b" " * size

    answer = ask("POST", "/api/task/async-apply/x", auth=CALLER, content=body)
    stranger = ask("POST", "/api/task/async-apply/x", content=body[: MAX_BODY + 1])

    assert answer.status_code == 413
    assert answer.json()["error"] == {"code": "too_large", "message": TOO_LARGE.message}
    assert stranger.status_code == 401
    fits = ask("POST", "/api/task/async-apply/x", auth=CALLER, content=body[:MAX_BODY])
    assert fits.status_code == 422


def test_a_web_page_of_another_site_cannot_use_the_browsers_login(ask):
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}

    for path in ("/api/task/async-apply/x", "/api/worker/shutdown/x", "/api/later"):
        assert ask("POST", path, auth=OPERATOR, headers=foreign).status_code == 403


def basic(user, password):
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
