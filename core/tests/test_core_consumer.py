"""What a worker does with a message that the broker has given up."""

import json

import pytest

from menos_bus.messages.consumer import GuardedConsumer
from menos_bus.outcomes.sqlite import SQLiteLedger


def look_up(): ...


class GivenUp:
    """A message as RabbitMQ hands it on, after it had delivered it too often."""

    content_type, properties, acknowledged = "application/json", {}, False

    def __init__(self, sent):
        deaths = [{"queue": "p", "reason": "delivery_limit"}]
        self.headers = {**sent["headers"], "x-death": deaths}
        self.body = json.dumps(sent["body"])

    def ack(self):
        self.acknowledged = True


@pytest.mark.parametrize("dead_letter", [True, False])
def test_a_worker_without_the_plugin_files_what_was_given_up_under_the_plugin_s_name(
    make_bus, make_plugin, monkeypatch, dead_letter
):
    servers = {"broker_url": "memory://", "result_backend": "redis://127.0.0.1:1"}
    sender = make_bus(make_plugin("p", look_up, dead_letter=dead_letter), **servers)
    other = make_bus(**servers)
    for bus in (sender, other):
        bus.app.ledger = SQLiteLedger(bus.settings.home)
        bus.app.conf.update(
            result_backend="menos_bus.outcomes.backend:LedgerBackend", result_compression=None
        )
    task_id = sender.submit("p.look_up")
    message = GivenUp(sender.app.ledger.find(task_id).message)
    consumer = GuardedConsumer.__new__(GuardedConsumer)
    consumer.app = other.app
    filed = []
    monkeypatch.setattr(
        "menos_bus.messages.consumer.bury",
        lambda app, message, death: filed.append((death.queue, death.task)),
    )

    consumer._file(message)

    assert filed == ([("p", "p.look_up")] if dead_letter else [])
    assert message.acknowledged is not dead_letter
