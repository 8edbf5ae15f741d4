"""Those in this process who wait for the end of a call, told of it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchers:
    """Who waits for which call. Thread-safe."""

    def __init__(self) -> None:
        self.hear_all = False
        """Whether every call ends in this process, so that nobody has to look by himself."""
        self._lock = threading.Lock()
        self._calls: dict[str, list[Callable[[], None]]] = {}

    @contextmanager
    def watching(self, task_id: str, tell: Callable[[], None]) -> Iterator[None]:
        """Have a function called when a call has ended, in the thread in which it did.

        A call that ends in another process tells nobody here.
        """
        with self._lock:
            self._calls.setdefault(task_id, []).append(tell)
        try:
            yield
        finally:
            with self._lock:
                tells = self._calls[task_id]
                tells.remove(tell)
                if not tells:
                    del self._calls[task_id]

    def ended(self, task_id: str) -> None:
        """Tell those who wait that a call has ended, and its outcome is stored."""
        with self._lock:
            tells = list(self._calls.get(task_id, ()))
        for tell in tells:
            tell()
