"""Which call a task function is running for."""

import pytest

from menos_bus import Retryable, task_id, task_threads
from menos_bus.testing import TestBus

seen: list[str | None] = []


def look() -> str | None:
    """Look, and have it done once more."""
    seen.append(task_id())
    if len(seen) == 1:
        raise Retryable("not now", after=0.01)
    return seen[-1]


def ask_threads() -> list[str | None]:
    """Ask threads of its own."""
    with task_threads(2) as threads:
        return [one.result() for one in [threads.submit(task_id) for _ in range(4)]]


@pytest.fixture
def bus(make_plugin):
    seen.clear()
    return TestBus(make_plugin("running", look, ask_threads))


def test_a_call_that_is_tried_again_has_the_same_id(bus):
    said = bus.call("running.look")

    assert said
    assert seen == [said, said]


def test_two_calls_have_two(bus):
    assert bus.call("running.look") != bus.call("running.look")


def test_the_threads_of_a_task_know_it(bus):
    [said] = set(bus.call("running.ask_threads"))

    assert said


def test_outside_of_a_call_there_is_none():
    assert task_id() is None
