"""The broker of an embedded bus: kombu's in memory, whose readers are woken by what arrives.

kombu's own look at their queues again and again: the more often, the less a call waits for its
worker, and the more an idle bus costs.
"""

from __future__ import annotations

import math
import threading
import time
from queue import Empty
from typing import Any, Final
from weakref import WeakSet

from kombu.transport import memory

_connections: Final[WeakSet[Transport]] = WeakSet()
"""All of the process, as kombu's queues in memory are the process's."""
_lock: Final = threading.Lock()


class Channel(memory.Channel):
    """Wakes those who read a queue: for a message, or when there is room for the next one."""

    connection: Transport | None

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        super()._put(queue, message, **options)  # type: ignore[no-untyped-call]
        with _lock:
            connections = list(_connections)
        for connection in connections:
            if connection.reads(queue):
                connection.wake()

    def _put_fanout(self, exchange: Any, message: Any, routing_key: Any = None, **_: Any) -> None:
        for queue in self._lookup(exchange, routing_key):  # type: ignore[no-untyped-call]
            self._put(queue, message)

    def basic_ack(self, *args: Any, **options: Any) -> None:
        """Acknowledge a message."""
        super().basic_ack(*args, **options)  # type: ignore[no-untyped-call]
        self._wake()

    def basic_reject(self, *args: Any, **options: Any) -> None:
        """Give a message back."""
        super().basic_reject(*args, **options)  # type: ignore[no-untyped-call]
        self._wake()

    def _wake(self) -> None:
        if (connection := self.connection) is not None:  # not closed meanwhile
            connection.wake()


class Transport(memory.Transport):
    """A connection that sleeps while there is nothing to read."""

    Channel = Channel

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._woken = threading.Event()
        with _lock:
            _connections.add(self)

    def reads(self, queue: str) -> bool:
        """Whether it has a consumer of that queue."""
        return queue in (self._callbacks or ())

    def wake(self) -> None:
        """Let it look at its queues."""
        self._woken.set()

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Hand one message to its consumer.

        Raises:
            TimeoutError: there was none for so many seconds.
        """
        assert self.cycle is not None
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            self._woken.clear()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
                return
            except Empty:
                left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            # No longer, for what wakes nobody, such as a consumer that was added.
            self._woken.wait(min(left, self.polling_interval))
