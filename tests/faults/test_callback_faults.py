"""A callback is owed from the terminal state on, whoever dies and whatever the receiver says."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from faults.fleet import wait_for
from faults.receiver import Receiver
from menos_bus.messages.dead_letters import Which, dead_letters

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def settings(fleet, receiver) -> dict[str, str]:
    fleet.bus = fleet.door(callback_allow=receiver.place)
    return {"MENOS_CALLBACK_ALLOW": receiver.place, "MENOS_CALLBACK_TIMEOUT": "3"}


@pytest.fixture
def inner() -> Iterator[Receiver]:
    """A service inside that callbacks may not reach."""
    inner = Receiver()
    yield inner
    inner.close()


def test_a_worker_that_dies_between_the_end_of_a_call_and_its_callback(
    fleet, gate, receiver, settings
):
    worker = fleet.start_worker(**settings)
    task_id = fleet.submit(seconds=2, callback_url=receiver.url)
    wait_for(lambda: fleet.bus.outcome(task_id).state == "STARTED", 30, "the call to run")

    fleet.rabbit.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: fleet.bus.outcome(task_id).ready, 30, "the end of the call")
        fleet.kill(worker)
    finally:
        fleet.rabbit.signal(signal.SIGCONT)
    assert not receiver.tries
    fleet.start_worker(**settings)

    gate()
    wait_for(receiver.told, 60, "the callback")
    assert len(receiver.events()) == 1


def test_a_worker_that_dies_while_the_receiver_drips(fleet, gate, receiver, settings):
    worker = fleet.start_worker(**settings)
    receiver.faults = ["drip"]
    fleet.submit(callback_url=receiver.url)

    wait_for(lambda: receiver.tries, 30, "the first try")
    fleet.kill(worker)
    fleet.start_worker(**settings)

    gate()
    wait_for(receiver.told, 60, "the callback")
    assert len(set(receiver.tries)) == 1, "every try is the same event"


def test_a_receiver_that_leads_inward_or_is_gone(fleet, gate, receiver, inner, settings):
    fleet.start_worker(**settings)
    receiver.inward = inner.url
    receiver.faults = ["redirect", "410"]

    for _ in range(2):
        fleet.submit(callback_url=receiver.url)
        wait_for(lambda: len(receiver.tries) == len(fleet.accepted), 30, "the first try")
    gate()

    wait_for(receiver.told, 60, "the callback that was led away")
    letters = dead_letters(fleet.bus.app)
    wait_for(lambda: letters.find(Which(queue="callbacks")), 30, "the dead letter of the other")
    assert [one.death.code for one in letters.find(Which(queue="callbacks"))] == [
        "callback_refused"
    ]
    assert len(receiver.told()) == 1
    assert not inner.tries, "a redirect was followed"
