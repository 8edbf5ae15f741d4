"""Room for so much work at a time, in sizes of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from menos_bus import Deferred


class Room:
    """Lets threads in while what they bring fits; what is larger than all of it is let in alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._closed = False
        self._change = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait until there is room for this, and give it back at the end.

        Raises:
            Deferred: it was closed before there was any.
        """
        with self._change:
            self._change.wait_for(lambda: self._closed or self._fits(size))
            if self._closed:
                raise Deferred("its turn did not come")
            self._taken += size
        try:
            yield
        finally:
            with self._change:
                self._taken -= size
                self._change.notify_all()

    def close(self) -> None:
        """Let nobody in any more; who is in may go on."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _fits(self, size: int) -> bool:
        return not self._taken or self._taken + size <= self._size
