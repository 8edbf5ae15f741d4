"""The stores of quotas, SQLite and Redis: exact among processes, whoever dies, whatever the day."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

import forked
import quota_spender
from menos_bus.quota.redis import RedisQuotaStore
from menos_bus.quota.sqlite import SQLiteQuotaStore
from menos_bus.quota.store import (
    LEASE_SECONDS,
    Day,
    Lease,
    Pace,
    QuotaStore,
    StoreDown,
    Usage,
    Verdict,
)
from running import poll

ZONE = "America/Los_Angeles"
LIMIT, RESERVE = 3_000, 300


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def __call__(self) -> float:
        return self.moment.timestamp()

    def at(self, *parts: int, zone: str = ZONE) -> None:
        self.moment = datetime(*parts, tzinfo=ZoneInfo(zone))

    def later(self, **parts: float) -> None:
        # By the epoch: in a zone's own terms a clock change would be left out.
        self.moment = self.moment.astimezone(UTC) + timedelta(**parts)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The kind of a store, and where it is."""
    if request.param == "redis":
        return "redis", request.getfixturevalue("redis_url")
    return "sqlite", str(tmp_path)


@pytest.fixture
def store(place: tuple[str, str], clock: Clock) -> QuotaStore:
    kind, where = place
    if kind == "redis":
        return RedisQuotaStore(where, clock)
    return SQLiteQuotaStore(Path(where), clock)


@pytest.fixture
def bucket() -> str:
    """A bucket of this test alone."""
    return f"test.b{uuid4().hex}"


@pytest.fixture
def lease(store: QuotaStore, bucket: str) -> Callable[..., Lease]:
    """Make a lease for the store's present day."""

    def make(units: int = 1, name: str | None = None) -> Lease:
        return Lease(name or uuid4().hex, bucket, Day.at(store.now(), ZONE), units)

    return make


def used(store: QuotaStore, bucket: str) -> int:
    return store.usage(bucket, Day.at(store.now(), ZONE)).used


def test_units_count_from_the_reservation_on(store, bucket, lease):
    answer = store.reserve(lease(7), 10, None)

    assert (answer.verdict, answer.used) == (Verdict.GRANTED, 7)
    assert used(store, bucket) == 7


def test_what_does_not_fit_takes_nothing_and_what_fits_exactly_is_granted(store, bucket, lease):
    store.reserve(lease(7), 10, None)

    assert store.reserve(lease(4), 10, None).verdict is Verdict.EXHAUSTED
    assert store.reserve(lease(3), 10, None).verdict is Verdict.GRANTED
    assert used(store, bucket) == 10


def test_without_a_limit_all_is_granted_and_counted(store, bucket, lease):
    assert store.reserve(lease(1_000_000), None, None).verdict is Verdict.GRANTED
    assert used(store, bucket) == 1_000_000


def test_the_same_lease_counts_once(store, bucket, lease):
    same = lease(5)

    answers = [store.reserve(same, 10, None) for _ in range(3)]
    store.commit(same)
    answers.append(store.reserve(same, 10, None))

    assert {answer.verdict for answer in answers} == {Verdict.GRANTED}
    assert used(store, bucket) == 5


def test_units_are_given_back_once(store, bucket, lease):
    same = lease(5)
    store.reserve(same, 10, None)

    assert [store.refund(same), store.refund(same)] == [True, False]
    assert not store.commit(same)
    assert used(store, bucket) == 0


def test_what_was_committed_is_not_given_back(store, bucket, lease):
    same = lease(5)
    store.reserve(same, 10, None)

    assert [store.commit(same), store.commit(same), store.refund(same)] == [True, False, False]
    assert used(store, bucket) == 5


def test_a_lease_that_was_given_back_can_be_reserved_anew(store, bucket, lease):
    same = lease(5)
    store.reserve(same, 10, None)
    store.refund(same)

    assert store.reserve(same, 10, None).verdict is Verdict.GRANTED
    assert used(store, bucket) == 5


def test_a_lease_that_nobody_settled_counts_as_spent(bucket, lease, clock, tmp_path):
    # Redis lets leases expire by its own clock, which a test cannot set.
    store = SQLiteQuotaStore(tmp_path, clock)
    same = lease(5)
    store.reserve(same, 10, None)
    clock.later(seconds=LEASE_SECONDS)

    assert not store.refund(same)
    assert used(store, bucket) == 5


def test_redis_lets_a_lease_expire(redis_url, bucket):
    store = RedisQuotaStore(redis_url)
    same = Lease("one", bucket, Day.at(store.now(), ZONE), 5)
    store.reserve(same, 10, None)

    lives = store._redis.ttl(f"menos:quota:{bucket}:lease:one")

    assert LEASE_SECONDS - 60 < lives <= LEASE_SECONDS


def test_a_lease_of_nobody_gives_nothing_back(store, bucket, lease):
    store.reserve(lease(5), 10, None)

    assert not store.refund(lease(5))
    assert used(store, bucket) == 5


def test_a_closed_bucket_grants_nothing_more_until_the_reset(store, bucket, lease, clock):
    clock.at(2026, 5, 4, 23, 59)
    store.close(bucket, Day.at(store.now(), ZONE), "quotaExceeded")

    closed = store.reserve(lease(), 10, None)
    assert store.usage(bucket, Day.at(store.now(), ZONE)) == Usage(0, "quotaExceeded")
    clock.later(minutes=1)

    assert closed.verdict is Verdict.CLOSED
    assert store.reserve(lease(), 10, None).verdict is Verdict.GRANTED


def test_a_closed_bucket_can_be_opened_again(store, bucket, lease):
    day = Day.at(store.now(), ZONE)
    store.close(bucket, day, "quotaExceeded")
    store.reopen(bucket, day)

    assert store.reserve(lease(), 10, None).verdict is Verdict.GRANTED
    assert store.usage(bucket, day).closed is None


def test_a_lease_for_another_day_than_the_store_s_is_refused_with_the_store_s_time(
    store, bucket, clock
):
    clock.at(2026, 5, 4, 12)
    tomorrow = Day.at(clock() + 24 * 3600, ZONE)

    answer = store.reserve(Lease("one", bucket, tomorrow, 1), 10, None)

    assert answer.verdict is Verdict.OTHER_DAY
    assert answer.now == pytest.approx(clock(), abs=1e-3)


@pytest.mark.parametrize(
    ("day", "hours"),
    [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 7, 1), 24), ((2026, 12, 31), 24)],
    ids=["clocks go forward", "clocks go back", "summer", "new year's eve"],
)
def test_a_day_has_one_reset_and_right_sums(store, bucket, lease, clock, day, hours):
    clock.at(*day, 0, 0)
    start = Day.at(clock(), ZONE)
    sums: dict[str, int] = {}
    moments = 0

    # Every half hour from midnight to midnight, and a second before the end.
    while clock() < start.end:
        store.reserve(lease(3), 1_000, None)
        moments += 1
        clock.later(minutes=30)
    clock.later(seconds=-1)
    store.reserve(lease(3), 1_000, None)
    sums["last second"] = used(store, bucket)
    clock.later(seconds=1)
    sums["after"] = used(store, bucket)
    store.reserve(lease(3), 1_000, None)
    sums["next day"] = used(store, bucket)

    assert start.end - start.start == hours * 3600
    assert moments == 2 * hours
    assert sums == {"last second": 3 * (2 * hours + 1), "after": 0, "next day": 3}
    assert store.usage(bucket, start).used == 3 * (2 * hours + 1)


def test_the_hour_that_comes_twice_is_one_day(store, bucket, lease, clock):
    clock.at(2026, 11, 1, 1, 30)
    store.reserve(lease(2), 10, None)
    clock.later(hours=1)  # 1:30 again

    store.reserve(lease(2), 10, None)

    assert clock.moment.astimezone(ZoneInfo(ZONE)).hour == 1
    assert used(store, bucket) == 4


def test_a_refund_after_midnight_goes_to_the_day_that_paid(store, bucket, lease, clock):
    clock.at(2026, 5, 4, 23, 59, 59)
    yesterday = Day.at(clock(), ZONE)
    early = lease(5)
    store.reserve(early, 10, None)
    clock.later(seconds=2)
    store.reserve(lease(1), 10, None)

    assert store.refund(early)
    assert (store.usage(bucket, yesterday).used, used(store, bucket)) == (0, 1)


def paced(booking: str, *, interval: float = 0.5, burst: int = 3, patience: float = 1.0) -> Pace:
    return Pace(interval, burst, patience, booking)


def test_a_pace_gives_each_use_its_turn(store, bucket, lease):
    answers = [store.reserve(lease(), None, paced(f"task {n}")) for n in range(7)]

    waits = [answer.wait for answer in answers]
    assert waits == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5, 2.0], abs=1e-3)
    assert [answer.verdict for answer in answers[:5]] == [Verdict.GRANTED] * 5
    assert [answer.verdict for answer in answers[5:]] == [Verdict.TOO_FAST] * 2
    assert used(store, bucket) == 5


def test_who_comes_too_early_finds_its_turn_kept_whoever_comes_in_between(store, lease, clock):
    alone = {"interval": 10.0, "burst": 1, "patience": 0.0}
    store.reserve(lease(), None, paced("first", **alone))
    early = store.reserve(lease(), None, paced("second", **alone))
    for n in range(5):
        store.reserve(lease(), None, paced(f"other {n}", **alone))
    clock.later(seconds=5)
    still_early = store.reserve(lease(), None, paced("second", **alone))
    clock.later(seconds=5)

    answer = store.reserve(lease(), None, paced("second", **alone))

    assert (early.verdict, still_early.verdict) == (Verdict.TOO_FAST, Verdict.TOO_FAST)
    assert early.wait == pytest.approx(10, abs=1e-3)
    assert still_early.wait == pytest.approx(5, abs=1e-3)
    assert answer.verdict is Verdict.GRANTED
    # It was the turn of one use.
    assert store.reserve(lease(), None, paced("second", **alone)).wait == pytest.approx(60, abs=1)


def test_a_use_whose_turn_is_after_midnight_counts_on_the_day_after(store, bucket, lease, clock):
    slow = {"interval": 1.0, "burst": 1, "patience": 5.0}
    clock.at(2026, 5, 4, 23, 59, 59)
    store.reserve(lease(), 10, paced("first", **slow))
    clock.later(seconds=0.5)
    refused = store.reserve(lease(), 10, paced("second", **slow))
    clock.later(seconds=0.5)

    granted = store.reserve(lease(), 10, paced("second", **slow))

    assert (refused.verdict, granted.verdict) == (Verdict.TOO_FAST, Verdict.GRANTED)
    assert used(store, bucket) == 1


def test_a_clock_that_was_days_ahead_stops_nobody(tmp_path, bucket, lease, clock):
    # Redis counts by its own clock only.
    store = SQLiteQuotaStore(tmp_path, clock)
    clock.later(days=4)
    store.reserve(lease(), None, paced("first"))
    clock.later(days=-4)

    assert store.reserve(lease(), None, paced("second")).verdict is Verdict.GRANTED


def test_a_pause_gives_the_burst_back_and_no_more(store, lease, clock):
    pace = {"interval": 1.0, "burst": 2, "patience": 0.0}
    for n in range(2):
        store.reserve(lease(), None, paced(f"early {n}", **pace))
    clock.later(hours=1)

    answers = [store.reserve(lease(), None, paced(f"late {n}", **pace)).verdict for n in range(3)]

    assert answers == [Verdict.GRANTED, Verdict.GRANTED, Verdict.TOO_FAST]


def test_an_exhausted_quota_takes_no_turn(store, lease):
    pace = paced("task", interval=1.0, burst=1, patience=0.0)

    assert store.reserve(lease(5), 4, pace).verdict is Verdict.EXHAUSTED
    assert store.reserve(lease(4), 4, pace).verdict is Verdict.GRANTED


def test_looking_leaves_no_file(tmp_path):
    store = SQLiteQuotaStore(tmp_path / "home")

    assert store.usage("b", Day.at(store.now(), "UTC")) == Usage()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_a_store_that_is_down(tmp_path):
    (tmp_path / "quota.sqlite3").write_text("this is no database, but a long enough text" * 50)
    store = SQLiteQuotaStore(tmp_path)

    with pytest.raises(StoreDown, match=r"quota\.sqlite3"):
        store.usage("b", Day.at(store.now(), "UTC"))


def test_a_redis_that_is_away_is_a_store_that_is_down():
    with pytest.raises(StoreDown, match="does not answer"):
        RedisQuotaStore("redis://127.0.0.1:1/0").now()


def test_redis_keeps_the_counts_of_a_day_for_three_more(redis_url, bucket):
    store = RedisQuotaStore(redis_url)
    day = Day.at(store.now(), ZONE)
    store.reserve(Lease("one", bucket, day, 1), 10, None)

    ends = store._redis.expiretime(f"menos:quota:{bucket}:{day.date}")

    assert ends == pytest.approx(day.end + 3 * 24 * 3600, abs=2)


# many processes


PRIORITY = 2
"""How many of the eight may use the reserve."""


@pytest.fixture
def spend_together(
    place: tuple[str, str], bucket: str, tmp_path: Path
) -> Iterator[Callable[[], int]]:
    """Let 8 processes spend, kill two of them, and give what their journals add up to."""
    processes: list[BaseProcess] = []

    def run() -> int:
        journals = [tmp_path / f"journal-{seed}" for seed in range(8)]
        doomed = (0, 7)  # one of each kind
        for seed, journal in enumerate(journals):
            journal.touch()
            allowed = LIMIT if seed >= 8 - PRIORITY else LIMIT - RESERVE
            work = (place, bucket, allowed, seed, journal, seed in doomed)
            processes.append(forked.context.Process(target=quota_spender.spend, args=work))
            processes[-1].start()
        alive = set(doomed)

        def kill_spenders() -> bool:
            for seed in sorted(alive):
                if journals[seed].read_text().count("\n") > 20:
                    processes[seed].kill()
                    alive.discard(seed)
            return not alive

        poll(kill_spenders, what="some spending of those that are to be killed")
        for process in processes:
            process.join(120)
        ends = {seed: process.exitcode for seed, process in enumerate(processes)}
        assert ends == {seed: -signal.SIGKILL if seed in doomed else 0 for seed in range(8)}
        lines = [line.split() for journal in journals for line in journal.read_text().splitlines()]
        # The last line of one that was killed may be half written.
        return sum(int(line[1]) for line in lines if len(line) == 2 and line[1] != "-")

    yield run
    for process in processes:
        process.kill()
        process.join()


def test_eight_processes_never_overspend_and_leave_the_reserve(place, spend_together, bucket):
    # Each asserts that no grant of its own went over what it may use.
    noted = spend_together()

    store = quota_spender.open_store(*place)
    day = Day.at(store.now(), ZONE)
    spent = store.usage(bucket, day).used
    assert LIMIT - RESERVE <= spent <= LIMIT
    # Each of the two that were killed may have got, or given back, 9 units without noting it.
    assert abs(spent - noted) <= 2 * 9

    common = store.reserve(Lease("common", bucket, day, 1), LIMIT - RESERVE, None)
    taken = 0
    while store.reserve(Lease(f"p{taken}", bucket, day, 1), LIMIT, None).verdict is Verdict.GRANTED:
        taken += 1
    assert common.verdict is Verdict.EXHAUSTED
    assert store.usage(bucket, day).used == spent + taken == LIMIT
