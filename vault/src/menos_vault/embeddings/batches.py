"""Full batches out of the texts of many callers, a batch per processor.

Many short documents are embedded at a time, each by a thread of its own. Here their texts meet, and
are run in batches by as many threads as the model may use, each on a processor of its own. So
batches are full, few of them are in memory, and a short document does not wait for the end of a
long one.
"""

import atexit
import bisect
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from menos_vault.embeddings import CLOSED
from menos_vault.errors import ModelUnavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Tokens = list[int]
Run = Callable[[list[Tokens]], "NDArray[np.float32]"]

_PADDING = 1.2
"""How often as long as its shortest text a batch's longest may be: padding is work, too."""


class _Request:
    def __init__(self, texts: Sequence[Tokens], lock: threading.Lock, by_steps: bool) -> None:
        self.texts = texts
        self._change = threading.Condition(lock)
        self._by_steps = by_steps
        # The longest ones first, so that memory is at its height at once and not at the end.
        self.todo = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        self.vectors: dict[int, NDArray[np.float32]] = {}
        self.error: BaseException | None = None

    @property
    def next_length(self) -> int:
        return len(self.texts[self.todo[-1]])

    def longest_up_to(self, limit: int) -> int:
        """Return the length of the longest text of at most so many tokens; 0 if there is none."""
        end = self._end(limit)
        return len(self.texts[self.todo[end - 1]]) if end else 0

    def take(self, limit: int) -> int:
        """Take that text."""
        return self.todo.pop(self._end(limit) - 1)

    def _end(self, limit: int) -> int:
        return bisect.bisect_right(self.todo, limit, key=lambda place: len(self.texts[place]))

    @property
    def ended(self) -> bool:
        return self.error is not None or len(self.vectors) == len(self.texts)

    def wait(self, told: int) -> int:
        """Wait until it has ended, or by steps until there are more; returns how many there are."""
        while not self.ended and not (self._by_steps and len(self.vectors) > told):
            self._change.wait()
        return len(self.vectors)

    def tell(self) -> None:
        """Wake who waits, if it is what was waited for."""
        if self.ended or self._by_steps:
            self._change.notify()


class Batches:
    """Runs texts in batches of up to `tokens` tokens, `threads` of them at a time. Thread-safe."""

    def __init__(self, run: Run, tokens: int, threads: int) -> None:
        """Take the function that makes one vector of each text's tokens; many threads may call it.

        A text that is longer than `tokens` is run by itself.
        """
        self._run = run
        self._tokens = tokens
        self._threads = threads
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._requests: list[_Request] = []
        self._workers: set[threading.Thread] = set()
        self._closed = False
        _all.add(self)

    def embed(
        self, texts: Sequence[Tokens], on_done: Callable[[int], None] | None = None
    ) -> "list[NDArray[np.float32]]":
        """Return the texts' vectors, in their order; `on_done` gets how many there are by now.

        Raises what running a batch raised, if one of these texts was in it, and ModelUnavailable if
        this was closed before all of them were.
        """
        request = _Request(texts, self._lock, by_steps=on_done is not None)
        told = 0
        try:
            with self._lock:
                if self._closed:
                    self._refuse(request)
                self._requests.append(request)
                self._start()
            while not request.ended:
                with self._lock:
                    done = request.wait(told)
                if on_done is not None and done > told:
                    on_done(done)
                told = done
        finally:
            with self._lock:
                self._requests.remove(request)
        if request.error is not None:
            raise request.error
        return [request.vectors[place] for place in range(len(texts))]

    def close(self) -> None:
        """Let go those whose texts wait, and return when the batches that run are done."""
        if self._process != os.getpid():
            return  # a fork's copy: its threads live in the parent only
        with self._lock:
            self._closed = True
            for request in self._requests:
                self._refuse(request)
                request.tell()
            workers = list(self._workers)
        for worker in workers:
            worker.join()

    def _refuse(self, request: _Request) -> None:
        if request.todo:
            request.error = ModelUnavailable(CLOSED)
            request.todo.clear()

    def _start(self) -> None:
        """Have as many threads at work as there is work for.

        They are daemons, as the interpreter would wait for others until all texts are done.
        """
        waiting = sum(len(request.todo) for request in self._requests)
        for _ in range(min(waiting, self._threads - len(self._workers))):
            worker = threading.Thread(target=self._work, name="embed", daemon=True)
            worker.start()
            self._workers.add(worker)  # not before: a system without threads to spare refuses

    def _work(self) -> None:
        while True:
            with self._lock:
                batch = self._take()
                if not batch:
                    self._workers.discard(threading.current_thread())
                    return
            try:
                vectors = self._run([request.texts[place] for request, place in batch])
                with self._lock:
                    for (request, place), vector in zip(batch, vectors, strict=True):
                        request.vectors[place] = vector
            except BaseException as error:  # noqa: BLE001 - raised where the texts are from
                with self._lock:
                    for request, _ in batch:
                        request.error = error
                        request.todo.clear()
            # Only these: else each batch would wake all callers, who take turns at the lock.
            with self._lock:
                for request in {request for request, _ in batch}:
                    request.tell()

    def _take(self) -> list[tuple[_Request, int]]:
        """Take the next batch: callers by turns decide its length, and all may fill it."""
        waiting = [request for request in self._requests if request.todo]
        if not waiting:
            return []
        first = waiting[0]
        self._requests.remove(first)
        self._requests.append(first)
        longest = first.next_length
        batch: list[tuple[_Request, int]] = [(first, first.todo.pop())]
        others_before = [*waiting[1:], first]
        while longest * (len(batch) + 1) <= self._tokens:
            nearest = max(others_before, key=lambda request: request.longest_up_to(longest))
            if longest > _PADDING * nearest.longest_up_to(longest):
                break
            batch.append((nearest, nearest.take(longest)))
        return batch


_all: "weakref.WeakSet[Batches]" = weakref.WeakSet()


def _close_all() -> None:
    """End the batches that run, while the interpreter still works."""
    for batches in list(_all):
        batches.close()


atexit.register(_close_all)
