"""Quotas: what a plugin can declare, and what a task is told that spends one."""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from menos_bus import PluginError, Quota, TaskFailed, UnknownQuota
from menos_bus.quota import gate as gates
from menos_bus.quota.register import Quotas
from menos_bus.quota.sqlite import SQLiteQuotaStore
from menos_bus.quota.status import Status
from menos_bus.quota.store import Day, StoreDown, Usage
from menos_bus.testing import TestBus


class Sent(Exception):
    """The service was asked, and failed."""


class Unsent(Exception):
    """The service was not asked."""


def spending(make_plugin, quota, *, fails=None, refunds=False, refused=None):
    """A bus whose one task spends some units of a quota."""

    def use(units: int = 1, times: int = 1) -> int:
        """Use the service."""
        for _ in range(times):
            with quota.spend(units, unsent=(Unsent,)) as spent:
                if refunds:
                    spent.refund()
                if fails is not None:
                    raise fails
            if refused is not None:
                spent.close(refused)
        return times

    hooks = {"register_quotas": lambda register: register(quota)}
    return TestBus(make_plugin("w", use, hooks=hooks, max_retries=0))


def used(bus, name="w"):
    return bus.quota(name).used


def failure(bus, *args, **kwargs):
    with pytest.raises(TaskFailed) as failed:
        bus.call("w.use", *args, **kwargs)
    return failed.value


# declaration


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "No"}, "lower case"),
        ({"limit": None}, "limits nothing"),
        ({"limit": -1}, "0 or more"),
        ({"reserve": 11}, "from 0 to the limit"),
        ({"reserve": -1}, "from 0 to the limit"),
        ({"rate": 0.0}, "more than 0"),
        ({"rate": float("inf")}, "more than 0"),
        ({"rate": 1, "burst": 0}, "1 or more"),
        ({"policy": "shout"}, "'fail' or 'wait'"),
        ({"zone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"zone": ""}, "no time zone"),
        ({"zone": "../etc"}, "no time zone"),
    ],
)
def test_a_quota_that_cannot_be_is_refused_with_the_reason(wrong, told):
    with pytest.raises(PluginError, match=told):
        Quota(**{"name": "w", "limit": 10, **wrong})


def test_a_plugin_s_quotas_begin_with_its_name():
    quotas = Quotas()

    with pytest.raises(PluginError, match=r"must be 'w' or begin with 'w\.'"):
        quotas.add("w", [Quota("x", limit=1)])
    with pytest.raises(PluginError, match="twice"):
        quotas.add("w", [Quota("w", limit=1), Quota("w", limit=2)])
    with pytest.raises(PluginError, match=r"no menos_bus\.Quota"):
        quotas.add("w", ["w"])
    assert len(quotas) == 0


def test_an_unknown_quota_is_told_with_those_that_there_are():
    quotas = Quotas()
    quotas.add("w", [Quota("w.b", limit=1), Quota("w.a", limit=1)])

    with pytest.raises(UnknownQuota, match=r"unknown quota 'x' \(known: w\.a, w\.b\)"):
        _ = quotas["x"]
    with pytest.raises(UnknownQuota, match=r"did you mean 'w\.b'\? \(known: "):
        _ = quotas["wb"]


def test_a_quota_that_cannot_be_fails_its_plugin_only(make_plugin, make_bus):
    def wrong(register):
        register(Quota("other", limit=1))

    bus = make_bus(make_plugin("w", hooks={"register_quotas": wrong}), make_plugin("v"))

    assert {plugin.name: plugin.state for plugin in bus.plugins} == {"w": "failed", "v": "loaded"}
    assert "quota 'other'" in bus.plugins[0].reason
    assert list(bus.quotas) == []


def test_a_plugin_that_fails_takes_its_quotas_along(make_plugin, make_bus):
    def fail(app):
        raise RuntimeError("no")

    hooks = {
        "register_quotas": lambda register: register(Quota("w", limit=1)),
        "configure_app": fail,
    }
    bus = make_bus(make_plugin("w", hooks=hooks))
    declared = list(bus.quotas)

    _ = bus.app

    assert (declared, list(bus.quotas)) == (["w"], [])


# spending


def test_a_use_counts(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10))

    bus.call("w.use", units=3, times=2)

    assert used(bus) == 6


def test_without_priority_the_reserve_is_left_and_the_message_says_when_it_resets(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10, reserve=4, zone="America/Los_Angeles"))

    failed = failure(bus, times=10)

    assert (failed.code, failed.tries) == ("quota_exceeded", 1)
    resets = Day.at(time.time(), "America/Los_Angeles").resets_at
    assert f"it resets at {resets:%Y-%m-%d %H:%M} UTC" in failed.message
    assert "6 of 10 are used, 4 are kept for priority calls" in failed.message
    assert used(bus) == 6


def test_with_priority_all_is_used_and_then_the_call_waits(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10, reserve=4))

    failed = failure(bus, times=11, priority=True)

    # It did not fail, so none of its tries is used.
    assert (failed.code, failed.tries) == ("waiting_for_quota", 0)
    assert used(bus) == 10


def test_a_quota_that_waits_waits_without_priority_too(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=1, policy="wait"))

    assert failure(bus, times=2).code == "waiting_for_quota"


def test_a_worker_puts_a_waiting_call_back_with_all_its_tries(make_plugin, make_bus, run_as_worker):
    quota = Quota("w", limit=1)

    def use() -> None:
        for _ in range(2):
            with quota.spend():
                pass

    hooks = {"register_quotas": lambda register: register(quota)}
    bus = make_bus(make_plugin("w", use, hooks=hooks))
    task_id = bus.submit("w.use", kwargs={"priority": True})

    outcomes = [run_as_worker(bus, task_id) for _ in range(5)]

    assert {outcome.state for outcome in outcomes} == {"RETRY"}
    assert outcomes[-1].error["code"] == "waiting_for_quota"
    assert outcomes[-1].error["tries"] == 0
    eta = bus.app.ledger.find(task_id).message["headers"]["eta"]
    waits = datetime.fromisoformat(eta).timestamp() - time.time()
    assert 0 < waits <= gates.LONGEST_WAIT + 5


def test_a_call_waits_for_an_hour_at_most_and_no_longer_than_to_the_reset(make_plugin, monkeypatch):
    gate = gates.Gate(Quotas(), lambda: None)
    quota = Quota("w", limit=1)
    day = Day.at(datetime(2026, 5, 4, tzinfo=UTC).timestamp(), "UTC")
    waits = {}
    for before in (2 * 3600, 600, 0.1):
        answer = gates.Answer(gates.Verdict.EXHAUSTED, 1, 0.0, day.end - before)
        with pytest.raises(gates.Deferred) as deferred:
            gate._refuse(quota, day, answer, priority=True)
        waits[before] = deferred.value.after

    assert 3600 <= waits[2 * 3600] <= 3605
    assert 600 <= waits[600] <= 605
    assert 1 <= waits[0.1] <= 6


def test_a_failed_use_counts_but_one_that_was_not_sent_does_not(make_plugin):
    sent = spending(make_plugin, Quota("w", limit=10), fails=Sent())
    unsent = spending(make_plugin, Quota("w", limit=10), fails=Unsent())
    refunded = spending(make_plugin, Quota("w", limit=10), refunds=True)

    failure(sent)
    failure(unsent)
    refunded.call("w.use")

    assert (used(sent), used(unsent), used(refunded)) == (1, 0, 0)


def test_what_the_service_calls_spent_is_closed_until_the_reset(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10), refused="quotaExceeded: come back tomorrow")

    codes = [failure(bus).code, failure(bus).code, failure(bus, priority=True).code]

    assert codes == ["quota_exceeded", "quota_exceeded", "waiting_for_quota"]
    status = bus.quota("w")
    assert status.as_json()["closed"] == "quotaExceeded: come back tomorrow"
    assert (status.used, status.remaining) == (1, 0)


def test_a_use_that_costs_more_than_a_day_has_never_waits(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10, reserve=5, policy="wait"))

    assert failure(bus, units=6).code == "quota_too_small"
    assert bus.call("w.use", units=6, priority=True) == 1


def test_uses_keep_their_pace(make_plugin, monkeypatch):
    slept = []
    monkeypatch.setattr(gates.time, "sleep", slept.append)
    bus = spending(make_plugin, Quota("w", rate=2, burst=2))

    bus.call("w.use", times=4)

    assert slept == pytest.approx([0.5, 1.0], abs=0.1)
    assert bus.quota("w").as_json()["units_remaining"] is None


def test_a_turn_that_comes_much_later_gives_the_worker_free(make_plugin, monkeypatch):
    monkeypatch.setattr(gates.time, "sleep", lambda seconds: None)
    bus = spending(make_plugin, Quota("w", rate=0.01))

    failed = failure(bus, times=2)

    assert failed.code == "waiting_for_quota"
    assert "0.01 uses a second" in failed.message


def test_without_its_store_nothing_is_spent_and_the_call_waits(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10))
    (bus.settings.make_home() / "quota.sqlite3").write_bytes(b"no database" * 500)

    failed = failure(bus)

    assert (failed.code, failed.tries) == ("quota_unavailable", 0)
    assert "quota.sqlite3" in failed.message


def test_a_store_that_goes_away_during_a_use_changes_nothing(make_plugin, monkeypatch):
    def away(self, lease):
        raise StoreDown("away")

    bus = spending(make_plugin, Quota("w", limit=10))
    monkeypatch.setattr(SQLiteQuotaStore, "commit", away)

    assert bus.call("w.use", times=2) == 2
    assert used(bus) == 2


def test_the_next_day_begins_at_the_store_s_midnight(make_plugin, monkeypatch):
    bus = spending(make_plugin, Quota("w", limit=1))
    bus.call("w.use")
    tomorrow = time.time() + 24 * 3600
    bus.app.gate.store.now = lambda: tomorrow

    bus.call("w.use")

    assert used(bus) == 1
    assert bus.quota("w").day == Day.at(tomorrow, "UTC")


def test_a_quota_is_spent_in_a_task_only():
    with pytest.raises(PluginError, match="TestBus"), Quota("w", limit=1).spend():
        pass


def test_a_quota_that_was_not_registered_is_not_spent(make_plugin):
    quota = Quota("w", limit=1)

    def use() -> None:
        with quota.spend():
            raise AssertionError

    with pytest.raises(TaskFailed, match="unknown quota 'w'"):
        TestBus(make_plugin("w", use, max_retries=0)).call("w.use")


# status


def status(quota, used, *, hour, minute=0, closed=None, zone="UTC"):
    now = datetime(2026, 5, 4, hour, minute, tzinfo=ZoneInfo(zone)).timestamp()
    return Status.of(quota, Day.at(now, zone), Usage(used, closed), now)


def test_the_forecast_is_when_calls_without_priority_run_out_at_today_s_pace():
    quota = Quota("w", limit=1_000, reserve=100)

    # 450 in 6 hours: the other 450 last 6 more.
    assert status(quota, 450, hour=6).lasts_until == datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_there_is_no_forecast_where_it_lasts_or_nothing_is_known():
    quota = Quota("w", limit=1_000, reserve=100)

    assert status(quota, 10, hour=12).lasts_until is None
    assert status(quota, 0, hour=12).lasts_until is None
    assert status(quota, 899, hour=0).lasts_until is None


def test_what_is_used_up_lasts_until_now():
    quota = Quota("w", limit=1_000, reserve=100)

    assert status(quota, 900, hour=6).lasts_until == datetime(2026, 5, 4, 6, tzinfo=UTC)
    assert status(quota, 5, hour=6, closed="spent").remaining == 0


def test_a_status_says_it_all():
    quota = Quota("w", limit=10_000, reserve=1_000, zone="America/Los_Angeles")

    told = status(quota, 2_500, hour=12, zone="America/Los_Angeles").as_json()

    assert told == {
        "name": "w",
        "date": "2026-05-04",
        "limit": 10_000,
        "units_used": 2_500,
        "units_remaining": 7_500,
        "priority_reserved": 1_000,
        "percentage_used": 25.0,
        "resets_at": "2026-05-05T07:00:00+00:00",
        "lasts_until": None,
        "closed": None,
        "policy": "fail",
        "zone": "America/Los_Angeles",
        "rate": None,
    }


# through midnight, and inside one another


def at(bus, moment):
    bus.app.gate.store.now = lambda: moment


def test_a_waiting_call_goes_on_after_the_reset(make_plugin, make_bus, run_as_worker):
    quota = Quota("w", limit=1, zone="America/Los_Angeles")

    def use() -> str:
        with quota.spend():
            return "used"

    hooks = {"register_quotas": lambda register: register(quota)}
    bus = make_bus(make_plugin("w", use, hooks=hooks))
    day = Day.at(time.time(), quota.zone)
    first, second = (bus.submit("w.use", kwargs={"priority": True}) for _ in range(2))
    at(bus, day.end - 10)

    before = [run_as_worker(bus, call).state for call in (first, second)]
    at(bus, day.end)
    after = run_as_worker(bus, second)

    assert before == ["SUCCESS", "RETRY"]
    assert (after.state, after.result) == ("SUCCESS", "used")
    assert bus.quota("w").used == 1


def test_a_refusal_just_after_midnight_leaves_the_new_day_open(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10), refused="quotaExceeded")
    day = Day.at(time.time(), "UTC")
    at(bus, day.start - 3600)
    failure(bus)  # closes the day before
    at(bus, day.start + 60)

    early = failure(bus)

    assert (early.code, early.tries) == ("waiting_for_quota", 0)
    assert bus.quota("w").closed is None
    at(bus, day.start + 3600)
    assert failure(bus).code == "quota_exceeded"
    assert bus.quota("w").closed == "quotaExceeded"


def test_a_refusal_just_after_midnight_counts_if_the_day_before_was_not_spent(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10), refused="quotaExceeded")
    at(bus, Day.at(time.time(), "UTC").start + 60)

    assert failure(bus).code == "quota_exceeded"


def test_a_refusal_that_comes_after_midnight_does_not_close_the_new_day(make_plugin):
    quota = Quota("w", limit=10)

    def use() -> None:
        with quota.spend() as spent:
            at(bus, day.end + 3600)
        spent.close("quotaExceeded")

    hooks = {"register_quotas": lambda register: register(quota)}
    bus = TestBus(make_plugin("w", use, hooks=hooks))
    day = Day.at(time.time(), "UTC")
    at(bus, day.end - 1)

    assert failure(bus).code == "waiting_for_quota"
    assert bus.quota("w").closed is None


def test_what_was_closed_can_be_opened_again(make_plugin):
    bus = spending(make_plugin, Quota("w", limit=10), refused="quotaExceeded")
    at(bus, Day.at(time.time(), "UTC").start + 3600)
    failure(bus)

    bus.reopen_quota("w")

    assert bus.quota("w").closed is None
    with pytest.raises(UnknownQuota):
        bus.reopen_quota("x")


@pytest.mark.parametrize("inner", [Quota("w.inner", rate=0.001), Quota("w.inner", limit=1)])
def test_a_use_that_another_quota_refuses_costs_nothing(make_plugin, inner):
    outer = Quota("w", limit=10)

    def use(times: int) -> None:
        for _ in range(times):
            with outer.spend(), inner.spend():
                pass

    hooks = {"register_quotas": lambda register: [register(outer), register(inner)]}
    bus = TestBus(make_plugin("w", use, hooks=hooks, max_retries=0))

    for _ in range(3):
        failure(bus, 2)

    assert used(bus) == used(bus, "w.inner") == 1


@pytest.mark.parametrize("units", [0, -8, 0.5, True, "1"])
def test_units_are_a_whole_number(make_plugin, units):
    quota = Quota("w", limit=10)

    def use() -> None:
        with quota.spend(units):
            raise AssertionError

    hooks = {"register_quotas": lambda register: register(quota)}
    bus = TestBus(make_plugin("w", use, hooks=hooks, max_retries=0))

    assert "must be a whole number" in failure(bus).message
    assert used(bus) == 0
