"""How the quotas are shown: ``menos-bus quota``, the HTTP API, ``menos-bus doctor``."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from menos_bus import Quota
from menos_bus.cli.main import main
from menos_bus.doctor import diagnose
from menos_bus.doors.credentials import logins
from menos_bus.doors.http import make_api
from menos_bus.quota.sqlite import SQLiteQuotaStore
from menos_bus.quota.store import Day, Lease

METERED = """
from menos_bus import Quota, hookimpl

@hookimpl
def register_quotas(register):
    register(Quota("metered", limit=10_000, reserve=1_000, zone="America/Los_Angeles"))
    register(Quota("metered.pages", rate=2))
    register(Quota("metered.search", limit=100, policy="wait"))
"""


@pytest.fixture
def run(site, monkeypatch):
    """Run a command where one plugin declares three quotas."""
    site.install("metered", METERED)
    monkeypatch.setenv("MENOS_PLUGINS", "metered")

    def run(*arguments):
        return CliRunner().invoke(main, arguments)

    return run


@pytest.fixture
def store():
    """The store of the folder that the command looks into."""
    return SQLiteQuotaStore(Path(".menos"))


def spend(store, bucket, units, zone="America/Los_Angeles"):
    store.reserve(Lease("one", bucket, Day.at(time.time(), zone), units), None, None)


def test_each_quota_has_a_bar_and_says_how_long_it_lasts(run, store):
    spend(store, "metered", 2_500)
    spend(store, "metered.search", 100, "UTC")

    shown = run("quota").stdout

    first, third = shown.index("metered "), shown.index("metered.search")
    second = shown.index("metered.pages")
    assert first < second < third
    assert "████████░░░" in shown[first:second]
    assert "░▒▒▒ " in shown[first:second]
    assert "25.0 %" in shown
    assert "2,500 of 10,000 units, 1,000 kept for priority" in shown
    resets = Day.at(time.time(), "America/Los_Angeles").resets_at
    assert f"resets {resets:%Y-%m-%d %H:%M} UTC, in " in shown
    assert "at most 2 a second" in shown[second:third]
    assert "nothing is left: priority calls wait until the reset, others wait" in shown[third:]


@pytest.mark.parametrize(
    ("units", "told"),
    [
        (0, "lasts beyond the reset"),
        (9_000, "only priority calls can go on; others fail until the reset"),
        (10_000, "nothing is left: priority calls wait until the reset, others fail"),
    ],
)
def test_the_forecast_is_told_in_words(run, store, units, told):
    spend(store, "metered", units)

    assert told in run("quota", "metered").stdout


def test_what_the_service_closed_is_told(run, store):
    store.close("metered", Day.at(time.time(), "America/Los_Angeles"), "quotaExceeded")

    shown = run("quota", "metered").stdout

    assert "closed by the service: quotaExceeded" in shown


def test_what_the_service_closed_can_be_opened_again(run, store):
    store.close("metered", Day.at(time.time(), "America/Los_Angeles"), "quotaExceeded")

    shown = run("quota", "metered", "--reopen")

    assert shown.exit_code == 0
    assert "closed by the service" not in shown.stdout
    assert run("quota", "--reopen").exit_code == 2


def test_programs_get_json_of_all_or_of_one(run, store):
    spend(store, "metered", 12)

    all_of_them = json.loads(run("quota", "--json").stdout)
    one = json.loads(run("quota", "metered", "--json").stdout)

    assert [each["name"] for each in all_of_them] == ["metered", "metered.pages", "metered.search"]
    assert (one["name"], one["units_used"], one["units_remaining"]) == ("metered", 12, 9_988)


def test_an_unknown_quota_is_exit_code_2(run):
    shown = run("quota", "nowhere")

    assert shown.exit_code == 2
    assert "known: metered, metered.pages, metered.search" in shown.stderr


def test_looking_makes_no_data_folder(run):
    assert run("quota").exit_code == 0

    assert not Path(".menos").exists()


def test_the_first_use_makes_the_data_folder_for_its_owner_only(store):
    spend(store, "metered", 1)

    assert Path(".menos").stat().st_mode & 0o777 == 0o700


def test_without_quotas_it_says_so(site, greeter, monkeypatch):
    site.install("hello", greeter)
    monkeypatch.setenv("MENOS_PLUGINS", "hello")

    assert "No loaded plugin declares a quota" in CliRunner().invoke(main, ["quota"]).stdout


def test_a_store_that_is_away_is_a_message(run, monkeypatch):
    monkeypatch.setenv("MENOS_BROKER_URL", "amqp://127.0.0.1:1//")
    monkeypatch.setenv("MENOS_RESULT_BACKEND", "redis://127.0.0.1:1/0")

    shown = run("quota")

    assert shown.exit_code == 2
    assert "the quota store does not answer" in shown.stderr
    assert "Traceback" not in shown.output


def test_the_doctor_tells_of_a_quota_that_is_used_up(run, store):
    spend(store, "metered", 9_000)

    found = {check.name: check for check in diagnose() if check.name.startswith("quota")}

    # No problem of the host's: whoever asks whether it is well must not stop it for that.
    assert found["quota metered"].ok
    assert "9,000 of 10,000" in found["quota metered"].message
    assert "nothing is left for calls without priority; resets " in found["quota metered"].message
    assert "nothing is left" not in found["quota metered.search"].message


def test_the_doctor_finds_a_variable_that_no_setting_of_a_plugin_reads(run, site, monkeypatch):
    site.install(
        "tuned",
        "from menos_bus import hookimpl\n"
        "from pydantic_settings import BaseSettings, SettingsConfigDict\n"
        "class Mine(BaseSettings):\n"
        "    model_config = SettingsConfigDict(env_prefix='MENOS_TUNED_')\n"
        "    limit: int = 1\n"
        "@hookimpl\n"
        "def register_settings(register): register(Mine)\n",
    )
    monkeypatch.setenv("MENOS_PLUGINS", "tuned")
    monkeypatch.setenv("MENOS_TUNED_LIMIT", "2")
    monkeypatch.setenv("MENOS_TUNED_LIMT", "3")

    (check,) = [check for check in diagnose() if check.name == "settings"]

    assert check.message == "nothing reads MENOS_TUNED_LIMT"


# the HTTP API


@pytest.fixture
def ask(make_bus, make_plugin):
    hooks = {"register_quotas": lambda register: register(Quota("metered", limit=10, reserve=2))}
    bus = make_bus(make_plugin("metered", hooks=hooks))
    client = TestClient(make_api(bus, logins(bus.settings)), raise_server_exceptions=False)
    token = logins(bus.settings).caller.password

    def ask(path, **headers):
        return client.get(path, headers={"Authorization": f"Bearer {token}", **headers})

    return ask


def test_a_caller_can_ask_how_a_quota_is(ask):
    answer = ask("/api/v1/quota/metered")

    assert answer.status_code == 200
    told = answer.json()
    assert told["name"] == "metered"
    assert (told["units_used"], told["units_remaining"], told["priority_reserved"]) == (0, 10, 2)
    assert ask("/api/v1/quota").json() == {"quotas": [told]}


def test_an_unknown_quota_is_404(ask):
    answer = ask("/api/v1/quota/nowhere")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_quota")
    assert "known: metered" in answer.json()["detail"]


def test_a_stranger_is_told_nothing(ask):
    assert ask("/api/v1/quota/metered", Authorization="Bearer no").status_code == 401
