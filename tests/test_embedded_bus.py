"""The embedded bus as a process: what it promises when it starts, stops and is killed."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from menos_bus.quota.sqlite import SQLiteQuotaStore
from menos_bus.quota.store import Day
from running import MENOS_BUS, PROBE, poll, run_cli, start_bus

pytestmark = pytest.mark.usefixtures("probe")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_call_is_served_and_its_result_read_over_http(bus):
    task_id = bus.submit("probe.echo", "ha", times=2)

    assert bus.outcome(task_id, timeout=20) == {
        "task-id": task_id,
        "state": "SUCCESS",
        "result": "haha",
    }


def test_it_listens_on_loopback_only_and_asks_for_the_password(bus):
    assert bus.url.startswith("http://127.0.0.1:")
    for path in ("/", "/metrics", "/healthcheck", "/api/task/types", "/api/workers"):
        assert bus.request("GET", path, auth=None).status_code == 401, path
        assert bus.request("GET", path, auth=("menos", "wrong")).status_code == 401, path
        assert bus.request("GET", path).status_code == 200, path


def test_a_caller_may_submit_and_read_and_cannot_shut_the_worker_down(bus):
    told = json.loads((bus.home / "bus.json").read_text())
    caller = (told["caller_user"], told["caller_password"])
    node = next(iter(bus.request("GET", "/api/workers?refresh=1").json()))

    call = {"args": ["hi"], "timeout": 20}
    answer = bus.request("POST", "/api/task/apply/probe.echo", json=call, auth=caller)
    failed = bus.request("POST", "/api/task/apply/probe.broken", json={"timeout": 30}, auth=caller)
    tried = {
        path: bus.request(method, path, auth=caller).status_code
        for method, path in [
            ("POST", f"/api/worker/shutdown/{node}"),
            ("POST", "/api/task/revoke/x"),
            ("GET", "/api/tasks"),
            ("GET", f"/api/task/info/{answer.json()['task-id']}"),
            ("GET", "/"),
            ("GET", "/metrics"),
        ]
    }

    assert answer.json()["result"] == "hi"
    assert failed.json()["error"].keys() == {"code", "message", "tries"}
    assert "Traceback" not in failed.text
    assert ".py" not in failed.text
    assert set(tried.values()) == {403}, tried
    assert bus.process.poll() is None


def test_without_fastapi_it_runs_and_says_how_to_get_the_http_api(tmp_path, clean_env):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['fastapi'] = None\n")
    clean_env["PYTHONPATH"] = f"{hidden}{os.pathsep}{clean_env['PYTHONPATH']}"

    bus = start_bus(clean_env, forked=False)

    assert json.loads((bus.home / "bus.json").read_text())["api_url"] is None
    assert bus.result("probe.echo", "x") == "x"
    bus.stop()
    bus.close()
    shown = subprocess.Popen([MENOS_BUS, "up"], env=bus.env, stdout=subprocess.PIPE, text=True)
    lines = iter(shown.stdout.readline, "")
    assert any("pip install 'menos-bus[http]'" in line for line in lines)
    shown.kill()
    shown.wait(10)
    shown.stdout.close()


def test_the_password_is_kept_in_a_file_for_its_owner_only(start):
    first = start()
    files = [first.home / "credentials.json", first.home / "bus.json"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    first.stop()

    second = start()

    assert second.password == first.password
    told = json.loads((second.home / "bus.json").read_text())
    assert told["api_url"].startswith("http://127.0.0.1:")
    assert told["caller_password"] != second.password


def test_a_second_bus_on_the_same_folder_says_so_and_exits_2(bus):
    second = bus.cli("up")

    assert second.returncode == 2
    assert "already running" in second.stderr
    assert bus.url in second.stderr


def test_ports_in_use_are_named_all_at_once_with_their_settings(bus, tmp_path):
    urls = {
        "MENOS_FLOWER_PORT": bus.url,
        "MENOS_API_PORT": json.loads((bus.home / "bus.json").read_text())["api_url"],
    }
    taken = {setting: url.rpartition(":")[2] for setting, url in urls.items()}

    second = run_cli("up", env={**bus.env, "MENOS_HOME": str(tmp_path / "other"), **taken})

    assert second.returncode == 2
    for setting, port in taken.items():
        assert f":{port} (Address already in use): set {setting} to another port" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_named_with_its_setting(clean_env, host):
    shown = run_cli("up", env={**clean_env, "MENOS_API_HOST": host})

    assert shown.returncode == 2
    assert "set MENOS_API_HOST to an address of this machine" in shown.stderr


def test_what_is_asked_of_a_running_bus_goes_by_its_settings(start, clean_env):
    start(MENOS_PLUGINS="probe,youtube", MENOS_YOUTUBE_QUOTA_LIMIT="77")
    shell = {**clean_env, "MENOS_PLUGINS": "youtube"}

    quota = run_cli("quota", "youtube", "--json", env=shell)
    unknown = run_cli("quota", "nothing", "--json", env=shell)
    queues = run_cli("queues", "--json", env=shell)
    checked = run_cli("doctor", env=shell)

    assert json.loads(quota.stdout)["limit"] == 77
    assert quota.stderr == queues.stderr == ""
    assert json.loads(unknown.stdout)["error"]["code"] == "unknown_quota"
    assert "probe" in {queue["name"] for queue in json.loads(queues.stdout)}
    assert "quota youtube: 0 of 77 units" in checked.stdout


def test_a_quota_is_opened_again_by_the_running_bus_whatever_plugins_the_shell_has(
    start, clean_env
):
    bus = start(MENOS_PLUGINS="youtube")
    today = Day.at(time.time(), "America/Los_Angeles")
    SQLiteQuotaStore(bus.home).close("youtube", today, "quotaExceeded")
    shell = {**clean_env, "MENOS_PLUGINS": ""}

    closed = run_cli("quota", "youtube", "--json", env=shell)
    opened = run_cli("quota", "youtube", "--reopen", "--json", env=shell)
    told = json.loads((bus.home / "bus.json").read_text())
    caller = (told["caller_user"], told["caller_password"])

    assert json.loads(closed.stdout)["closed"] == "quotaExceeded"
    assert json.loads(opened.stdout)["closed"] is None
    assert bus.request("POST", "/api/v1/quota/youtube/reopen", auth=caller).status_code == 403


def test_a_plugin_installed_while_the_bus_runs_is_told_to_need_a_restart(start, install, clean_env):
    where_it_looks = Path(clean_env["PYTHONPATH"].partition(os.pathsep)[0])
    del clean_env["MENOS_PLUGINS"]
    bus = start()
    later = "from menos_bus import hookimpl\n@hookimpl\ndef register_tasks(register):\n"
    site = install("later", f"{later}    register(greet)\ndef greet(who: str) -> str: return who\n")
    shutil.copytree(site, where_it_looks, dirs_exist_ok=True)
    del clean_env["MENOS_PLUGINS"]

    called = run_cli("call", "later.greet", "Ada", env=clean_env)
    checked = run_cli("doctor", env=clean_env)

    said = "the plugin 'later' was installed after the bus had started: restart the bus"
    assert (called.returncode, checked.returncode) == (2, 1)
    assert f"Error: unknown task 'later.greet': {said}" in called.stderr
    assert f"✗ bus: {said}" in checked.stdout
    assert bus.stop() == 0
    start()
    assert run_cli("call", "later.greet", "Ada", env=clean_env).stdout == '"Ada"\n'


def test_ctrl_c_lets_a_running_task_finish(start, tmp_path):
    bus = start()
    marker, until = tmp_path / "marker", tmp_path / "until"
    task_id = bus.submit("probe.work", str(marker), str(until))
    poll(lambda: lines(marker), what="the start of the task")

    bus.process.send_signal(signal.SIGINT)
    poll(lambda: not _answers(bus.url), what="the door's end")
    # Nobody is kept waiting until the task has ended.
    with pytest.raises(httpx.ConnectError):
        httpx.get(bus.url, timeout=10, trust_env=False)
    until.touch()

    assert bus.process.wait(30) == 0
    assert start().outcome(task_id)["state"] == "SUCCESS"
    assert lines(marker) == ["started"]


def test_what_does_not_finish_in_time_runs_again_at_the_next_start(start, tmp_path):
    bus = start(MENOS_SHUTDOWN_GRACE="1")
    marker, until = tmp_path / "marker", tmp_path / "until"
    task_id = bus.submit("probe.work", str(marker), str(until))
    poll(lambda: lines(marker), what="the start of the task")

    assert bus.stop() == 0
    until.touch()

    again = start()
    assert again.outcome(task_id, timeout=30)["state"] == "SUCCESS"
    assert lines(marker) == ["started", "started"]


def test_after_kill_9_every_accepted_call_runs_and_finished_ones_do_not(start, tmp_path):
    bus = start(MENOS_CONCURRENCY="2")
    until = tmp_path / "until"
    done = bus.submit("probe.echo", "before")
    assert bus.outcome(done, timeout=20)["state"] == "SUCCESS"
    running = [tmp_path / f"running{i}" for i in range(2)]
    queued = [tmp_path / f"queued{i}" for i in range(5)]
    ids = [bus.submit("probe.work", str(marker), str(until)) for marker in running]
    poll(lambda: all(lines(marker) for marker in running), what="both starts")
    ids += [bus.submit("probe.work", str(marker), str(until)) for marker in queued]
    later = bus.submit("probe.echo", "later")

    bus.kill()
    until.touch()
    again = start(MENOS_CONCURRENCY="2")

    for task_id in (*ids, later):
        assert again.outcome(task_id, timeout=30)["state"] == "SUCCESS"
    assert [len(lines(marker)) for marker in running] == [2, 2]
    assert [len(lines(marker)) for marker in queued] == [1] * 5
    assert again.outcome(done)["result"] == "before"


def test_a_task_that_kills_the_process_is_given_up_after_the_limit(start, tmp_path, clean_env):
    marker = tmp_path / "marker"
    task_id = start(MENOS_DELIVERY_LIMIT="2").submit_its_death("probe.die", str(marker))
    assert len(lines(marker)) == 1
    # This one may die before it can say that it is ready, so nothing is read from it.
    second = run_cli("up", "--json", env={**clean_env, "MENOS_DELIVERY_LIMIT": "2"})
    assert second.returncode == -signal.SIGKILL

    third = start(MENOS_DELIVERY_LIMIT="2")

    outcome = third.outcome(task_id, timeout=20)
    assert outcome["state"] == "FAILURE"
    assert outcome["error"]["code"] == "crash_loop"
    assert third.result("probe.echo", "alive") == "alive"
    assert len(lines(marker)) == 2


def test_a_retry_waits_keeps_its_id_and_ends_as_a_failure_with_code_and_tries(bus, tmp_path):
    marker = tmp_path / "marker"

    task_id = bus.submit("probe.flaky", str(marker))

    outcome = bus.outcome(task_id, timeout=30)
    assert outcome["state"] == "FAILURE"
    assert outcome["error"] == {"code": "busy", "message": "not yet", "tries": 3}
    assert len(lines(marker)) == 3


def test_a_waiting_retry_survives_kill_9_with_its_tries(start, tmp_path):
    bus = start()
    marker = tmp_path / "marker"
    task_id = bus.submit("probe.flaky", str(marker))
    poll(lambda: bus.outcome(task_id)["state"] == "RETRY", what="the first retry")

    bus.kill()
    again = start()

    assert again.outcome(task_id, timeout=30)["error"]["tries"] == 3
    assert len(lines(marker)) == 3


def test_progress_can_be_read_while_a_task_runs(bus, tmp_path):
    until = tmp_path / "until"
    task_id = bus.submit("probe.steps", str(until))

    outcome = poll(
        lambda: (o := bus.outcome(task_id))["state"] == "PROGRESS" and o, what="PROGRESS"
    )
    shown = bus.cli("result", task_id)
    until.touch()

    assert outcome["progress"] == {"stage": "counting", "done": 3, "total": 7}
    assert "PROGRESS" in shown.stdout
    assert "counting: 3 of 7" in shown.stdout
    assert bus.outcome(task_id, timeout=20)["result"] == 7


def test_one_idempotency_key_is_one_execution_from_every_door(bus, tmp_path):
    marker, until = tmp_path / "marker", tmp_path / "until"
    until.touch()
    call = ("probe.work", str(marker), str(until))

    over_http = [bus.submit(*call, idempotency_key="k1") for _ in range(5)]
    over_cli = bus.cli("call", *call, "--idempotency-key", "k1", "--no-wait").stdout.strip()

    assert {*over_http, over_cli} == {over_http[0]}
    assert bus.outcome(over_http[0], timeout=20)["state"] == "SUCCESS"
    assert lines(marker) == ["started"]


def test_an_unexpected_exception_is_told_without_a_traceback(bus):
    outcome = bus.outcome(bus.submit("probe.refuse"), timeout=20)

    assert outcome["error"] == {"code": "never", "message": "that will never do", "tries": 1}
    assert outcome["result"] == "that will never do"
    assert "traceback" not in outcome


def _answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=1, trust_env=False, verify=False)
    except httpx.TransportError:
        return False
    return True


def test_calls_of_a_plugin_that_is_gone_wait_until_it_is_back(start, tmp_path):
    bus = start()
    marker, until = tmp_path / "marker", tmp_path / "until"
    task_id = bus.submit("probe.work", str(marker), str(until))
    bus.kill()

    without = start(MENOS_PLUGINS="")
    assert without.outcome(task_id)["state"] == "PENDING"
    without.stop()
    until.touch()

    assert start().outcome(task_id, timeout=30)["state"] == "SUCCESS"


def test_a_priority_call_goes_ahead_of_the_others(start, tmp_path):
    bus = start(MENOS_CONCURRENCY="1")
    marker, until = tmp_path / "marker", tmp_path / "until"
    bus.submit("probe.work", str(marker), str(until))
    poll(lambda: lines(marker), what="the start of the task")
    order = tmp_path / "order"
    usual = [bus.submit("probe.note", str(order), f"usual{i}") for i in range(6)]
    urgent = bus.submit("probe.note", str(order), "urgent", priority=True)

    until.touch()

    for task_id in (*usual, urgent):
        assert bus.outcome(task_id, timeout=30)["state"] == "SUCCESS"
    # What the worker had fetched already may come before it.
    assert lines(order).index("urgent") <= 2


def test_a_failure_without_a_code_is_told_without_a_traceback(bus):
    outcome = bus.outcome(bus.submit("probe.broken"), timeout=30)

    assert outcome["state"] == "FAILURE"
    assert outcome["error"] == {
        "code": "internal_error",
        "message": "KeyError: 'oops'",
        "tries": 2,
    }
    assert "Traceback" not in str(outcome)


def test_a_second_ctrl_c_ends_it_at_once_and_the_task_runs_again(start, tmp_path):
    bus = start(MENOS_SHUTDOWN_GRACE="600")
    marker, until = tmp_path / "marker", tmp_path / "until"
    task_id = bus.submit("probe.work", str(marker), str(until))
    poll(lambda: lines(marker), what="the start of the task")
    bus.process.send_signal(signal.SIGINT)
    poll(lambda: not _answers(bus.url), what="the door's end")

    bus.process.send_signal(signal.SIGINT)

    assert bus.process.wait(30) == 130
    until.touch()
    assert start().outcome(task_id, timeout=30)["state"] == "SUCCESS"


def test_a_plugin_that_cannot_configure_the_application_is_shown_as_failed(start, install):
    source = PROBE + "\n@hookimpl\ndef configure_app(app):\n    raise ValueError('no')\n"
    install("picky", source)
    bus = start()

    refused = bus.request("POST", "/api/task/async-apply/picky.echo", json={"args": ["x"]})
    checked = bus.cli("doctor")

    assert refused.status_code == 404
    assert bus.result("probe.echo", "x") == "x"
    assert checked.returncode == 1
    assert "configure_app failed: ValueError: no" in checked.stdout


def test_whatever_a_task_raises_the_bus_goes_on(start):
    bus = start(MENOS_CONCURRENCY="1")

    outcomes = [bus.outcome(bus.submit("probe.panic"), timeout=30) for _ in range(3)]

    assert {outcome["error"]["message"] for outcome in outcomes} == {"Panic: native trouble"}
    assert bus.result("probe.echo", "alive") == "alive"


def test_a_chord_ends_and_leaves_nothing_to_run_again(bus):
    body = bus.result("probe.chorus")

    outcome = poll(
        lambda: (o := _outcome_or_none(bus, body)) and o["state"] == "SUCCESS" and o,
        what="the body",
    )
    assert outcome["result"] == 3
    poll(
        lambda: not any(q["messages"] + q["running"] for q in _queues(bus)),
        what="nothing left to do",
    )


def test_a_script_reaches_the_running_bus_with_send(bus):
    script = "from menos_bus import send; print(send('probe.echo', 'from a script'))"
    said = subprocess.run(
        [sys.executable, "-c", script], env=bus.env, capture_output=True, text=True, check=True
    )

    assert bus.outcome(said.stdout.strip(), timeout=30)["result"] == "from a script"


def test_a_script_without_a_running_bus_is_told_so(clean_env):
    script = "from menos_bus import BusUnavailable, send\ntry: send('probe.echo', 'x')\n"
    script += "except BusUnavailable as error: print(error)"

    said = subprocess.run(
        [sys.executable, "-c", script], env=clean_env, capture_output=True, text=True, check=True
    )

    assert "no bus is running" in said.stdout


def test_the_header_is_the_idempotency_key_at_flower_s_door_too(bus):
    def post(body, key="h1"):
        headers = {"Idempotency-Key": key}
        return bus.request("POST", "/api/task/async-apply/probe.echo", json=body, headers=headers)

    first, again = post({"args": ["x"]}), post({"args": ["x"]})
    both = post({"args": ["x"], "kwargs": {"idempotency_key": "h2"}})

    assert first.json()["task-id"] == again.json()["task-id"]
    assert post({"args": ["y"]}).status_code == 409
    assert both.status_code == 422
    assert "Idempotency-Key" in both.json()["error"]["message"]


def test_a_task_id_and_an_idempotency_key_exclude_each_other(bus):
    call = {"kwargs": {"text": "x", "idempotency_key": "k"}, "task_id": "mine"}

    refused = bus.request("POST", "/api/task/async-apply/probe.echo", json=call)

    assert refused.status_code == 422
    assert "idempotency_key" in refused.json()["error"]["message"]


@pytest.mark.parametrize("seconds", ["nan", "inf", "soon"])
def test_a_timeout_that_is_no_number_is_refused(bus, seconds):
    task_id = bus.submit("probe.echo", "x")

    refused = bus.request("GET", f"/api/task/result/{task_id}?timeout={seconds}")

    assert refused.status_code == 422


def test_letters_beyond_ascii_in_a_login_are_refused_like_any_wrong_one(bus):
    wrong = {"Authorization": "Basic " + base64.b64encode("menos:pässword".encode()).decode()}

    for path in ("/", "/api/task/types", "/api/workers", "/metrics"):
        assert bus.request("GET", path, auth=None, headers=wrong).status_code == 401


def test_what_is_stored_is_for_its_owner_only_also_in_an_open_folder(start, tmp_path):
    (tmp_path / "home").mkdir(mode=0o755)
    bus = start()
    bus.result("probe.echo", "secret")

    open_files = [
        path.name
        for path in bus.home.rglob("*")
        if path.is_file() and path.name != "bus.lock" and path.stat().st_mode & 0o077
    ]

    assert open_files == []


def test_a_locked_ledger_is_503_at_the_door_and_loses_no_outcome(start, tmp_path):
    bus = start()
    marker, until = tmp_path / "marker", tmp_path / "until"
    task_id = bus.submit("probe.work", str(marker), str(until))
    poll(lambda: lines(marker), what="the start of the task")
    other = sqlite3.connect(bus.home / "ledger.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    until.touch()

    refused = bus.request("POST", "/api/task/async-apply/probe.echo", json={"args": ["x"]})
    other.execute("ROLLBACK")
    other.close()

    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert bus.outcome(task_id, timeout=60)["result"] == "worked"
    assert lines(marker) == ["started"]


def _outcome_or_none(bus, task_id):
    answer = bus.request("GET", f"/api/task/result/{task_id}")
    return answer.json() if answer.status_code == 200 else None


def _queues(bus):
    return bus.request("GET", "/api/queues/length").json()["active_queues"]


def test_a_bus_whose_worker_was_shut_down_ends_with_an_error(start):
    bus = start()
    node = next(iter(bus.request("GET", "/api/workers?refresh=1").json()))

    bus.request("POST", f"/api/worker/shutdown/{node}")

    assert bus.process.wait(30) == 2


AT_START = """
from menos_bus import hookimpl

@hookimpl
def configure_app(app):
    from celery.signals import worker_init
    import menos_bus.doors.embedded

    menos_bus.doors.embedded._START_SECONDS = 1
    worker_init.connect(start, weak=False)

def start(**_):
    DO
"""


@pytest.mark.parametrize(
    ("do", "told"),
    [
        ("__import__('threading').Event().wait()", "was not ready within 1 s.*MENOS_PLUGINS"),
        ("raise SystemExit(1)", "ended by itself"),
    ],
)
def test_a_bus_whose_worker_does_not_start_is_not_up_and_ends_with_an_error(
    clean_env, install, do, told
):
    install("slow", AT_START.replace("DO", do))

    ended = run_cli("up", env=clean_env)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.search(told, ended.stderr)


def test_a_bus_that_is_stopped_before_it_is_up_ends_without_a_word_of_errors(clean_env, install):
    stop = "__import__('os').kill(__import__('os').getpid(), __import__('signal').SIGTERM)"
    install("slow", AT_START.replace("DO", f"{stop}; __import__('threading').Event().wait()"))

    ended = run_cli("up", env=clean_env)

    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.startswith("Stopping;")
    assert len(ended.stderr.splitlines()) == 1


def test_one_that_is_stopped_at_once_tells_of_no_errors(clean_env, tmp_path):
    with (tmp_path / "stderr").open("w+") as said:
        bus = start_bus(clean_env, stderr=said.fileno())
        assert bus.stop() == 0
        bus.close()
        said.seek(0)
        [line] = said.readlines()

    assert line.startswith("Stopping; running tasks have 30 s to finish.")


def test_a_command_that_waits_for_a_bus_says_so_and_keeps_its_output_clean(start, tmp_path):
    bus, until = start(), tmp_path / "until"
    command = [MENOS_BUS, "call", "probe.work", str(tmp_path / "m"), str(until), "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=bus.env, **pipes) as waiting:
        poll(lambda: lines(tmp_path / "m"), what="the task")

        bus.kill()
        missed = waiting.stderr.readline()
        start()
        back = waiting.stderr.readline()
        until.touch()
        output, rest = waiting.communicate(timeout=60)

    assert missed.startswith("Still waiting, but no bus is running on the data folder")
    assert (back, rest) == ("It is back: waiting for the result\n", "")
    assert json.loads(output)["result"] == "worked"


WATCH = """
import click
from menos_bus import hookimpl
from menos_bus.cli.plugins import call_task, says_errors

class Watch:
    name = "watch"

    def load(self):
        @click.command("watch")
        @click.argument("marker")
        @click.argument("until")
        @says_errors
        def watch(marker, until):
            call_task("probe.work", marker=marker, until=until)
        return watch

@hookimpl
def register_extensions(register):
    register("bus.command", Watch())
"""


def test_ctrl_c_ends_what_waits_for_a_call_and_says_that_the_call_goes_on(start, install, tmp_path):
    install("watch", WATCH)
    bus, until = start(), str(tmp_path / "until")
    task_id = bus.submit("probe.work", str(tmp_path / "first"), until)
    commands = [
        [MENOS_BUS, "result", task_id, "--wait", "60"],
        [MENOS_BUS, "watch", str(tmp_path / "second"), until],
    ]
    pipes = {"stderr": subprocess.PIPE, "text": True}
    waiting = [subprocess.Popen(command, env=bus.env, **pipes) for command in commands]
    poll(lambda: lines(tmp_path / "second"), what="the task")
    bus.kill()

    for process in waiting:
        assert process.stderr.readline().startswith("Still waiting")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

        assert said.startswith("\nThe call goes on: `menos-bus result ")
        assert process.returncode == 130
