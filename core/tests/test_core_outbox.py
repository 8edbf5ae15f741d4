"""From the end of a call to the delivery of its callback."""

import pytest

from menos_bus.callbacks.outbox import event_id, submit_owed


def greet(who: str = "Ada") -> str:
    return who


@pytest.fixture
def bus(make_plugin, make_bus):
    return make_bus(make_plugin("p", greet))


def end(bus, **options):
    task_id = bus.submit("p.greet", kwargs={"callback_url": "https://example.com/x"}, **options)
    bus.app.backend.store_result(task_id, "Ada", "SUCCESS")
    return task_id


def test_what_is_owed_is_submitted_once_under_an_id_of_its_own(bus):
    entry = bus.app.ledger.find(end(bus))

    submit_owed(bus.app)
    submit_owed(bus.app)

    assert bus.app.ledger.find(event_id(entry)).task == "callbacks.deliver"
    assert bus.app.ledger.owed_callbacks() == []


def test_an_id_that_a_caller_took_for_another_call_keeps_no_other_callback(bus, caplog):
    first = bus.app.ledger.find(end(bus))
    bus.submit("p.greet", task_id=event_id(first))
    second = bus.app.ledger.find(end(bus))

    submit_owed(bus.app)

    assert bus.app.ledger.find(event_id(second)).task == "callbacks.deliver"
    assert bus.app.ledger.owed_callbacks() == []
    assert f"the callback of {first.task_id} is not sent" in caplog.text
