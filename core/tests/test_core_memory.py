"""The broker in memory: who reads is woken by what arrives, and does not look for it."""

import threading
from uuid import uuid4

import pytest
from kombu import Connection, Consumer, Exchange, Queue

SECONDS = 30
"""How long a test waits for what should come at once; between two looks it is longer."""


@pytest.fixture
def connect():
    made = []

    def connect():
        connection = Connection(
            "memory://",
            transport="menos_bus.messages.memory:Transport",
            transport_options={"polling_interval": 10 * SECONDS},
        )
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        connection.release()


@pytest.fixture
def reader(connect):
    """Read one message after the other of a queue in a thread; gives those read, and an event."""

    def read(queue, prefetch=0):
        connection = connect()
        channel = connection.channel()
        channel.basic_qos(0, prefetch, False)
        got, more = [], threading.Semaphore(0)

        def keep(message):
            got.append(message)
            more.release()

        consumer = Consumer(channel, [queue], on_message=keep)
        consumer.consume()

        def drain():
            while len(got) < 2:
                connection.drain_events(timeout=10 * SECONDS)

        threading.Thread(target=drain, daemon=True).start()
        return got, more

    return read


def publish(connect, exchange, text, key=""):
    with connect() as connection, connection.Producer() as producer:
        producer.publish(text, exchange=exchange, routing_key=key)


def test_a_message_wakes_who_waits_for_it(connect, reader):
    name = uuid4().hex
    got, more = reader(Queue(name))

    for text in ("first", "second"):
        publish(connect, "", text, name)
        assert more.acquire(timeout=SECONDS)

    assert [message.payload for message in got] == ["first", "second"]


def test_a_message_for_all_wakes_them(connect, reader):
    exchange = Exchange(uuid4().hex, type="fanout")
    readers = [reader(Queue(uuid4().hex, exchange)) for _ in range(2)]

    publish(connect, exchange, "all")

    assert all(more.acquire(timeout=SECONDS) for _, more in readers)


@pytest.mark.parametrize("settle", ["ack", "reject"])
def test_who_has_as_many_as_he_may_is_woken_when_one_is_settled(connect, reader, settle):
    name = uuid4().hex
    got, more = reader(Queue(name), prefetch=1)
    for text in ("first", "second"):
        publish(connect, "", text, name)
    assert more.acquire(timeout=SECONDS)
    assert len(got) == 1

    getattr(got[0], settle)()

    assert more.acquire(timeout=SECONDS)


def test_who_waits_in_vain_is_told_so(connect):
    connection = connect()

    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)


def test_what_is_settled_after_the_end_of_its_connection_hurts_nobody(connect, reader):
    name = uuid4().hex
    got, more = reader(Queue(name))
    publish(connect, "", "late", name)
    assert more.acquire(timeout=SECONDS)

    got[0].channel.close()

    got[0].ack()
