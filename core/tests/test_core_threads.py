"""Threads that a task starts."""

import threading

import pytest

from menos_bus import Quota, extensions, progress, task_threads
from menos_bus.testing import TestBus

APPLES = Quota("orchard", limit=10)


def pick(trees: int) -> dict[str, int]:
    """Pick an apple off each tree, all at once."""
    together = threading.Barrier(trees, timeout=10)

    def climb(_: int) -> str:
        with APPLES.spend(1):
            together.wait()
            progress("climbing", 1, trees)
        return ",".join(extensions("orchard.ladder"))

    progress("picking", 0, trees)
    with task_threads(trees) as pool:
        ladders = list(pool.map(climb, range(trees)))
    return {"ladders": ladders.count("tall")}


class Ladder:
    name = "tall"


@pytest.fixture
def orchard(make_plugin):
    hooks = {
        "register_quotas": lambda register: register(APPLES),
        "register_extensions": lambda register: register("orchard.ladder", Ladder()),
    }
    return make_plugin("orchard", pick, hooks=hooks)


def test_what_works_in_a_task_works_in_its_threads(orchard):
    bus = TestBus(orchard)

    assert bus.call("orchard.pick", 4) == {"ladders": 4}

    assert bus.quota("orchard").used == 4


def test_how_far_it_is_is_said_by_its_own_thread_only(
    orchard, make_bus, run_as_worker, monkeypatch
):
    bus = make_bus(orchard)
    said = []
    store = bus.app.backend.store_result

    def seen(task_id, result, state, *args, **kwargs):
        said.append((state, result))
        return store(task_id, result, state, *args, **kwargs)

    monkeypatch.setattr(bus.app.backend, "store_result", seen)
    outcome = run_as_worker(bus, bus.submit("orchard.pick", [2]))

    assert outcome.result == {"ladders": 2}
    assert [result["stage"] for state, result in said if state == "PROGRESS"] == ["picking"]


def test_outside_a_task_they_are_plain_threads():
    with task_threads(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
