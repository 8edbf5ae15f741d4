"""Every message is checked and recorded before it is published."""

import json

import pytest
from celery import chain, chord, group

from menos_bus import BusUnavailable, CallConflict, InvalidCall, UnknownTask, UnknownTaskId
from menos_bus.messages import topology
from menos_bus.outcomes.sqlite import SQLiteLedger


def greet(who: str) -> str:
    return f"hello {who}"


def shout(text: str, mark: str = "!") -> str:
    return text + mark


def urgent(who: str, priority: bool = False) -> bool:
    return priority


@pytest.fixture
def bus(make_plugin, make_bus):
    made = make_bus(make_plugin("p", greet, shout, urgent), make_plugin("other", greet))
    made.app.control.purge()  # queues in memory are the process's, not the bus's
    return made


def waiting(bus, queue):
    """The ids of the messages in a queue in memory, in their order; takes them out."""
    found = []
    with (
        bus.app.connection_for_read() as connection,
        connection.SimpleQueue(
            next(q for q in bus.app.conf.task_queues if q.name == queue)
        ) as messages,
    ):
        while messages.qsize():
            message = messages.get_nowait()
            message.ack()
            found.append(message.headers["id"])
    return found


def test_a_call_is_recorded_and_waits_in_the_queue_of_its_plugin(bus):
    task_id = bus.submit("p.greet", ["Ada"])

    entry = bus.app.ledger.find(task_id)
    assert (entry.task, entry.queue, entry.state) == ("p.greet", "p", "PENDING")
    assert entry.message["body"][:2] == [[], {"who": "Ada"}]
    assert waiting(bus, "p") == [task_id]


def test_a_priority_call_waits_in_a_queue_of_its_own(bus):
    task_id = bus.submit("p.greet", ["Ada"], {"priority": True})

    assert bus.app.ledger.find(task_id).queue == "p.priority"
    assert waiting(bus, "p.priority") == [task_id]
    assert waiting(bus, "p") == []


@pytest.mark.parametrize(
    ("name", "kwargs", "error"),
    [
        ("p.greet", {}, InvalidCall),
        ("p.greet", {"who": 5}, InvalidCall),
        ("p.greet", {"who": "Ada", "callback_url": "http://127.0.0.1/"}, InvalidCall),
        ("tasks.unheard_of", {}, UnknownTask),
        ("nodots", {}, UnknownTask),
    ],
)
def test_a_call_that_is_refused_is_neither_recorded_nor_queued(bus, name, kwargs, error):
    with pytest.raises(error):
        bus.submit(name, kwargs=kwargs, task_id="refused")

    assert bus.app.ledger.find("refused") is None
    assert bus.app.ledger.depths() == {}


def test_the_same_key_gives_one_call(bus):
    first = bus.submit("p.greet", ["Ada"], {"idempotency_key": "k"})
    second = bus.submit("p.greet", kwargs={"who": "Ada", "idempotency_key": "k"})

    assert first == second
    assert waiting(bus, "p") == [first]


def test_the_same_key_with_other_arguments_is_refused(bus):
    first = bus.submit("p.greet", ["Ada"], {"idempotency_key": "k"})

    with pytest.raises(CallConflict):
        bus.submit("p.greet", ["Eve"], {"idempotency_key": "k"})
    assert waiting(bus, "p") == [first]


def test_the_same_key_of_another_task_is_another_call(bus):
    first = bus.submit("p.greet", ["Ada"], {"idempotency_key": "k"})

    assert bus.submit("other.greet", ["Ada"], {"idempotency_key": "k"}) != first


def test_an_id_that_the_caller_gave_is_taken_and_cannot_stand_for_two_calls(bus):
    assert bus.submit("p.greet", ["Ada"], task_id="mine") == "mine"
    assert bus.submit("p.greet", ["Ada"], task_id="mine") == "mine"

    with pytest.raises(CallConflict):
        bus.submit("other.greet", ["Ada"], task_id="mine")


def test_a_call_that_the_broker_does_not_take_is_withdrawn(bus):
    bus.app.conf.update(
        broker_url="amqp://127.0.0.1:1//",
        broker_transport=None,
        broker_transport_options={"max_retries": 1, "interval_start": 0, "interval_step": 0},
        task_publish_retry=False,
    )

    with pytest.raises(BusUnavailable, match="try again"):
        bus.submit("p.greet", ["Ada"], task_id="lost")

    with pytest.raises(UnknownTaskId):
        bus.outcome("lost")


def test_apply_async_and_delay_pass_the_same_check(bus):
    task = bus.app.tasks["p.greet"]

    assert bus.app.ledger.find(task.delay("Ada").id).queue == "p"
    with pytest.raises(InvalidCall, match="who"):
        task.apply_async(kwargs={"who": 5})


def test_a_queue_that_a_caller_in_python_asks_for_is_not_taken(bus):
    result = bus.app.tasks["p.greet"].apply_async(["Ada"], queue="other")

    assert bus.app.ledger.find(result.id).queue == "p"


def test_the_members_of_a_group_are_checked_and_recorded(bus):
    task = bus.app.tasks["p.greet"]

    results = group(task.s("Ada"), task.s("Eve")).apply_async()

    assert {bus.app.ledger.find(member.id).state for member in results} == {"PENDING"}
    with pytest.raises(InvalidCall, match="when: unknown field"):
        group(task.s("Ada", when=1)).apply_async()


def test_a_chain_hands_its_results_on_and_each_member_is_recorded(bus, run_as_worker):
    tasks = bus.app.tasks
    last = chain(tasks["p.greet"].s("Ada"), tasks["p.shout"].s(mark="?")).apply_async()

    assert run_as_worker(bus, last.parent.id).result == "hello Ada"
    assert bus.app.ledger.find(last.id).state == "PENDING"
    assert run_as_worker(bus, last.id).result == "hello Ada?"


def test_a_chain_whose_next_member_is_refused_fails_and_says_why(bus, run_as_worker):
    tasks = bus.app.tasks
    last = chain(tasks["p.greet"].s("Ada"), tasks["p.shout"].s(when=1)).apply_async()

    with pytest.warns(RuntimeWarning, match="when: unknown field"):
        outcome = run_as_worker(bus, last.parent.id)

    assert outcome.state == "FAILURE"
    assert "when: unknown field" in outcome.error["message"]
    assert bus.outcome(last.id).state == "FAILURE"


def test_a_chord_waits_for_its_members_on_the_internal_queue(bus):
    tasks = bus.app.tasks

    chord([tasks["p.greet"].s("Ada"), tasks["p.greet"].s("Eve")])(tasks["p.shout"].s())

    assert bus.app.ledger.depths() == {"p": {"PENDING": 2}, "celery": {"PENDING": 1}}


def test_a_recorded_call_can_be_published_again_as_it_was(bus):
    task_id = bus.submit("p.greet", ["Ada"], {"priority": True})
    waiting(bus, "p.priority")
    [entry] = bus.app.ledger.unfinished()

    with bus.app.producer_or_acquire() as producer:
        bus.app.amqp.send_recorded(producer, entry)

    assert waiting(bus, "p.priority") == [task_id]
    assert bus.app.ledger.find(task_id).message == entry.message


def test_what_is_recorded_is_json(bus):
    entry = bus.app.ledger.find(bus.submit("p.greet", ["Ada"], countdown=5))

    assert json.loads(json.dumps(entry.message)) == entry.message
    assert entry.message["headers"]["eta"]


# calls of tasks that live elsewhere


@pytest.fixture
def host(make_plugin, make_bus):
    """A host of a fleet with one plugin, whose servers stand in memory."""
    made = make_bus(
        make_plugin("p", greet), broker_url="memory://", result_backend="redis://127.0.0.1:1"
    )
    made.app.ledger = SQLiteLedger(made.settings.home)
    made.app.conf.update(result_backend="cache+memory://", result_compression=None)
    return made


@pytest.mark.parametrize(
    ("task", "queue"),
    [("tasks.process_content", "content"), ("tasks.semantic_search", "search"), ("a.b", "a")],
)
@pytest.mark.parametrize("priority", [True, False])
def test_a_call_of_a_task_on_another_host_goes_to_the_queue_of_its_owner(
    host, task, queue, priority
):
    task_id = host.submit(task, kwargs={"x": 1, "priority": priority})

    entry = host.app.ledger.find(task_id)
    assert entry.queue == queue + (".priority" if priority else "")
    assert entry.message["body"][1] == {"x": 1}
    assert entry.message["headers"].get("menos_priority", False) is priority


def test_a_call_of_a_task_on_another_host_is_told_from_another_by_its_arguments(host):
    first = host.submit("a.b", kwargs={"x": 1, "idempotency_key": "k"})

    assert host.submit("a.b", kwargs={"x": 1, "idempotency_key": "k"}) == first
    with pytest.raises(CallConflict):
        host.submit("a.b", kwargs={"x": 2, "idempotency_key": "k"})


@pytest.mark.parametrize("name", ["tasks.unheard_of", "nodots"])
def test_a_name_that_nobody_can_own_is_unknown_in_a_fleet_too(host, name):
    with pytest.raises(UnknownTask):
        host.submit(name)


def test_without_other_hosts_a_task_that_is_not_installed_is_unknown(bus):
    with pytest.raises(UnknownTask, match=r"tasks\.process_content"):
        bus.submit("tasks.process_content", kwargs={"content_id": "x"}, task_id="refused")
    assert bus.app.ledger.find("refused") is None


# topology


def test_each_plugin_has_a_queue_and_one_for_priority():
    names = [queue.name for queue in topology.queues(["a", "b"], embedded=True)]

    assert names == ["a.priority", "a", "b.priority", "b", "celery", "callbacks"]


def test_on_a_broker_no_queue_loses_a_message():
    for queue in topology.queues(["a"], embedded=False):
        assert queue.exchange.type == "topic"
        assert queue.queue_arguments["x-queue-type"] == "quorum"
        assert queue.queue_arguments["x-overflow"] == "reject-publish"
        assert queue.queue_arguments["x-dead-letter-strategy"] == "at-least-once"


def test_what_dies_in_any_queue_goes_where_a_worker_gives_it_its_reason():
    keys = {
        queue.name: queue.queue_arguments["x-dead-letter-routing-key"]
        for queue in topology.queues(["a"], embedded=False)
    }

    assert set(keys.values()) == {topology.DEAD_LETTERED}
    assert {queue.name for queue in topology.dead_letter_queues(["a"])} == {
        topology.DEAD_LETTERED,
        *("a.dead", "callbacks.dead", "celery.dead"),
    }


@pytest.mark.parametrize("queue", ["a", "a.priority"])
def test_a_queue_tells_its_plugin(queue):
    assert topology.plugin_of(queue) == "a"
