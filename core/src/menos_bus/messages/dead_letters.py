"""The dead letters, to be looked at and dealt with: listed, taken up again, discarded.

On a broker they are the messages in ``<plugin>.dead``; embedded they are the failed calls of the
ledger. Both look the same from outside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from celery import states

from menos_bus.errors import CallConflict, UnknownTaskId
from menos_bus.messages.arrival import Malformed, Own, read
from menos_bus.messages.broker import connected
from menos_bus.messages.giving_up import ROUNDS_HEADER, Death, digest_of_body, without_death
from menos_bus.messages.publish import CALLBACK_HEADER, PRIORITY_HEADER, bounded
from menos_bus.messages.topology import dead_queue, plugin_of, queue_name
from menos_bus.outcomes.ledger import Entry
from menos_bus.outcomes.outcome import Outcome
from menos_bus.outcomes.sqlite import SQLiteLedger
from menos_bus.tasks.contract import CORE_QUEUES, PUBLIC_TASKS
from menos_bus.tasks.envelope import digest_of

_LONGEST_BODY: Final = 4000
"""Characters of a body that are shown."""


@dataclass(frozen=True)
class DeadLetter:
    """A message that was not run to its end.

    Attributes:
        id: what to name it by: the call's id, or one made of its content if it has none.
        death: why it is here.
        body: the message's body, as text.
    """

    id: str
    death: Death
    body: str = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """All that is known of it, in JSON types."""
        return {"id": self.id, **self.death.__dict__, "body": self.body}


@dataclass(frozen=True)
class Which:
    """Which dead letters are meant; everything that is left out fits.

    Attributes:
        queue: the plugin's queue.
        task: the task's name.
        since: the earliest death.
        ids: their ids.
    """

    queue: str | None = None
    task: str | None = None
    since: datetime | None = None
    ids: frozenset[str] = frozenset()

    def fits(self, letter: DeadLetter) -> bool:
        """Whether this letter is meant."""
        death = letter.death
        return (
            (self.queue is None or death.queue == self.queue)
            and (self.task is None or death.task == self.task)
            and (self.since is None or datetime.fromisoformat(death.died_at) >= self.since)
            and (not self.ids or letter.id in self.ids)
        )


class DeadLetters(Protocol):
    """The dead letters of a bus.

    :meth:`replay` and :meth:`discard` deal with one letter after the other while they are iterated,
    so that what was done is known when the broker or the ledger goes away: what they have not given
    is a dead letter still.
    """

    def find(self, which: Which) -> list[DeadLetter]:
        """Those that are meant, the latest first."""

    def replay(self, which: Which) -> Iterator[DeadLetter]:
        """Take those that are meant up again, under their ids."""

    def discard(self, which: Which) -> Iterator[DeadLetter]:
        """Delete those that are meant; stored outcomes stay."""


def dead_letters(app: Any) -> DeadLetters:
    """The dead letters of an application, wherever they are kept."""
    if isinstance(app.ledger, SQLiteLedger):
        return LedgerDeadLetters(app)
    return BrokerDeadLetters(app)


class LedgerDeadLetters:
    """The failed calls of one machine's ledger.

    A call that is taken up again runs when the bus looks next, or when it is started.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._ledger: SQLiteLedger = app.ledger

    def find(self, which: Which) -> list[DeadLetter]:
        """Those that are meant, the latest first."""
        leaves = self._app.registry.leaves_dead_letter
        failed = (
            self._letter(entry, at) for entry, at in self._ledger.failed() if leaves(entry.task)
        )
        return _sorted(filter(which.fits, failed))

    def replay(self, which: Which) -> Iterator[DeadLetter]:
        """Take those that are meant up again, under their ids."""
        for letter in self.find(which):
            try:
                self._ledger.reopen(letter.id)
            except (CallConflict, UnknownTaskId):
                continue  # Somebody else has dealt with it meanwhile, or it has expired.
            yield letter

    def discard(self, which: Which) -> Iterator[DeadLetter]:
        """Take those that are meant off the list; their outcomes stay."""
        for letter in self.find(which):
            if self._ledger.discard(letter.id):
                yield letter

    def _letter(self, entry: Entry, failed_at: float) -> DeadLetter:
        error = Outcome.read(self._app, entry.task_id).error or {}
        death = Death(
            error.get("code", ""),
            error.get("message", ""),
            plugin_of(entry.queue),
            task=entry.task,
            task_id=entry.task_id,
            tries=error.get("tries", 0),
            rounds=entry.rounds,
            died_at=datetime.fromtimestamp(failed_at, UTC).isoformat(timespec="seconds"),
        )
        body = json.dumps(entry.message.get("body"))
        return DeadLetter(entry.task_id, death, body[:_LONGEST_BODY])


class BrokerDeadLetters:
    """The messages in the ``….dead`` queues of a broker."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def find(self, which: Which) -> list[DeadLetter]:
        """Those that are meant, the latest first; they stay where they are."""
        return _sorted(self._each(which, lambda message, letter: True))

    def replay(self, which: Which) -> Iterator[DeadLetter]:
        """Publish those that are meant again, under their ids."""
        return self._each(which, self._replay)

    def discard(self, which: Which) -> Iterator[DeadLetter]:
        """Delete those that are meant."""
        return self._each(which, self._discard)

    def _each(self, which: Which, deal: Callable[[Any, DeadLetter], bool]) -> Iterator[DeadLetter]:
        """Those that are meant, and that could be dealt with so; unacknowledged ones stay."""
        with connected(self._app) as connection:
            for plugin in self._plugins(which):
                with _messages(connection, dead_queue(plugin)) as messages:
                    for message in messages:
                        letter = _from_message(message, plugin)
                        if which.fits(letter) and deal(message, letter):
                            yield letter

    def _plugins(self, which: Which) -> Iterable[str]:
        if which.queue is not None:
            return [which.queue]
        return sorted({*self._app.registry.plugins, *PUBLIC_TASKS.values(), *CORE_QUEUES})

    def _discard(self, message: Any, letter: DeadLetter) -> bool:
        message.ack()
        return True

    def _replay(self, message: Any, letter: DeadLetter) -> bool:
        """Publish it again; not if its call has ended since, and it is a left-over."""
        headers = without_death(message.headers) | {ROUNDS_HEADER: letter.death.rounds + 1}
        queue = queue_name(letter.death.queue, priority=bool(headers.get(PRIORITY_HEADER)))
        try:
            call = read(headers, message.body)
        except Malformed:
            call = None
        task_id = call.task_id if isinstance(call, Own) else letter.death.task_id
        entry = None if task_id is None else self._app.ledger.find(task_id)
        if isinstance(call, Own):
            headers |= {"retries": 0, "eta": None, "expires": None}
            if entry is None:
                self._record_anew(call, message, queue)
        if entry is not None and entry.digest == digest_of_body(message):
            # The outcome was that of a call that never was; the next one is this id's own.
            self._app.ledger.forget(entry.task_id)
        elif isinstance(call, Own) and call.is_of(entry) and not self._reopen(call.task_id):
            message.ack()
            return False
        with self._app.producer_or_acquire() as producer:
            bounded(
                producer,
                lambda **bounds: producer.publish(
                    message.body if isinstance(message.body, bytes) else message.body.encode(),
                    exchange="",
                    routing_key=queue,
                    headers=headers,
                    content_type=message.content_type,
                    content_encoding="utf-8",
                    delivery_mode=2,
                    correlation_id=letter.death.task_id,
                    **bounds,
                ),
            )
        message.ack()
        return True

    def _reopen(self, task_id: str) -> bool:
        """Let a call wait again; not if it has ended since."""
        try:
            self._app.ledger.reopen(task_id)
        except CallConflict:
            # Somebody took it up before, and may have died before it was published again.
            entry = self._app.ledger.find(task_id)
            return entry is not None and entry.state not in states.READY_STATES
        except UnknownTaskId:
            pass  # It has expired this moment: a worker reads it as a call from outside.
        return True

    def _record_anew(self, call: Own, message: Any, queue: str) -> None:
        """Let an expired call be the bus's own still: it may be what nobody sends from outside."""
        if not self._app.ledger.has_failed(call.task_id, call.token):
            return
        args, kwargs, _ = json.loads(message.body)
        url = message.headers.get(CALLBACK_HEADER)
        digest = digest_of(call.task, args, kwargs, url)
        entry = Entry(call.task_id, call.task, queue, digest, {}, url, token=call.token)
        self._app.ledger.accept_again(entry)


@contextmanager
def _messages(connection: Any, queue: str) -> Iterator[Iterator[Any]]:
    """All messages of a queue, unacknowledged; what is not acknowledged goes back at the end."""
    channel = connection.channel()
    try:
        yield _get(connection, channel, queue)
    finally:
        channel.close()


def _get(connection: Any, channel: Any, queue: str) -> Iterator[Any]:
    try:
        count = channel.queue_declare(queue, passive=True).message_count
    except connection.channel_errors:  # no worker has ever served it
        return
    for _ in range(count):
        raw = channel.basic_get(queue)
        if raw is None:
            return
        yield channel.message_to_python(raw)


def _from_message(message: Any, plugin: str) -> DeadLetter:
    death = Death.from_headers(message.headers or {}) or Death("unknown", "no reason given", plugin)
    body = message.body
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    made = hashlib.sha256(f"{death.died_at} {text}".encode(errors="replace")).hexdigest()[:16]
    if not death.died_at:
        death = Death(**{**death.__dict__, "died_at": datetime.now(UTC).isoformat()})
    return DeadLetter(death.task_id or made, death, text[:_LONGEST_BODY])


def _sorted(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    return sorted(letters, key=lambda letter: letter.death.died_at, reverse=True)
