"""Waiting at a door for the end of a call."""

import asyncio
import threading

import pytest

from menos_bus import UnknownTaskId
from menos_bus.doors import waiting


def greet() -> str:
    return "hello"


@pytest.fixture
def bus(make_plugin, make_bus):
    return make_bus(make_plugin("p", greet))


@pytest.fixture
def never_looks(monkeypatch, bus):
    """Nobody looks a second time by himself."""
    monkeypatch.setattr(waiting, "_POLL", (3600.0, 3600.0))
    bus.app.watchers.hear_all = True


async def stays() -> bool:
    return False


async def wait(bus, task_id, seconds=600.0, hung_up=stays):
    return await asyncio.wait_for(waiting.wait(bus, task_id, seconds, hung_up), 20)


def test_the_end_of_a_call_is_told_at_once_to_all_who_wait(bus, never_looks):
    task_id = bus.submit("p.greet")

    async def run():
        both = [asyncio.create_task(wait(bus, task_id)) for _ in range(2)]
        while len(bus.app.watchers._calls.get(task_id, ())) < 2:
            await asyncio.sleep(0)
        thread = threading.Thread(target=bus.app.backend.mark_as_done, args=(task_id, "hello"))
        thread.start()
        outcomes = await asyncio.gather(*both)
        thread.join()
        return outcomes

    assert [outcome.result for outcome in asyncio.run(run())] == ["hello", "hello"]
    assert bus.app.watchers._calls == {}


def test_a_call_that_ends_before_the_first_look_is_not_waited_for(bus, never_looks):
    task_id = bus.submit("p.greet")
    bus.app.backend.mark_as_failure(task_id, ValueError("no"))

    assert asyncio.run(wait(bus, task_id)).state == "FAILURE"


def test_a_state_that_is_no_end_tells_nobody(bus, never_looks):
    task_id = bus.submit("p.greet")
    told = []

    with bus.app.watchers.watching(task_id, lambda: told.append(1)):
        bus.app.backend.store_result(task_id, None, "STARTED")
        assert told == []
        bus.app.backend.mark_as_done(task_id, "hello")
    assert told == [1]


def test_the_wait_ends_when_its_time_is_over(bus, never_looks):
    task_id = bus.submit("p.greet")

    assert asyncio.run(wait(bus, task_id, 0.05)).state == "PENDING"
    assert bus.app.watchers._calls == {}


def test_an_end_in_another_process_is_seen_all_the_same(bus, make_plugin, make_bus):
    task_id = bus.submit("p.greet")
    other = make_bus(make_plugin("p", greet))

    async def run():
        waits = asyncio.create_task(wait(bus, task_id))
        await asyncio.to_thread(other.app.backend.mark_as_done, task_id, "hello")
        return await waits

    assert asyncio.run(run()).result == "hello"


def test_who_hangs_up_is_not_waited_for(bus, monkeypatch):
    task_id = bus.submit("p.greet")

    async def gone() -> bool:
        return True

    assert asyncio.run(wait(bus, task_id, hung_up=gone)).state == "PENDING"


def test_an_unknown_call_is_told(bus):
    with pytest.raises(UnknownTaskId):
        asyncio.run(wait(bus, "nobody"))
    assert bus.app.watchers._calls == {}


def test_a_loop_that_is_closed_does_not_keep_an_outcome_from_being_stored(bus, never_looks):
    task_id = bus.submit("p.greet")

    async def begin():
        begun = waiting.wait(bus, task_id, 600, stays)
        task = asyncio.ensure_future(begun)
        while task_id not in bus.app.watchers._calls:
            await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    loop.run_until_complete(loop.shutdown_default_executor())
    for left in asyncio.all_tasks(loop):
        left._log_destroy_pending = False
    loop.close()

    bus.app.backend.mark_as_done(task_id, "hello")

    assert bus.outcome(task_id).result == "hello"
    assert not task.done()
