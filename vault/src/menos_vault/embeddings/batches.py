"""Full batches out of the texts of many callers.

Many short documents are embedded at a time, each by a thread of its own. Here their texts meet: one
of the waiting threads runs a batch for all of them, then the next one does. So batches are full,
there is one at a time in memory, and a short document does not wait for the end of a long one.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Tokens = list[int]
Run = Callable[[list[Tokens]], "NDArray[np.float32]"]

_PADDING = 1.2
"""How much may be computed for nothing because texts are shorter than the longest in their run."""


class _Request:
    def __init__(self, texts: Sequence[Tokens]) -> None:
        self.texts = texts
        # The longest ones first, so that memory is at its height at once and not at the end.
        self.todo = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        self.vectors: dict[int, NDArray[np.float32]] = {}
        self.error: Exception | None = None

    @property
    def ended(self) -> bool:
        return self.error is not None or len(self.vectors) == len(self.texts)


class Batches:
    """Runs texts in batches of up to `size`. Thread-safe."""

    def __init__(self, run: Run, size: int) -> None:
        """Take the function that makes one vector of each text's tokens."""
        self._run = run
        self._size = size
        self._change = threading.Condition()
        self._requests: list[_Request] = []
        self._running = False

    def embed(
        self, texts: Sequence[Tokens], on_done: Callable[[int], None] | None = None
    ) -> "list[NDArray[np.float32]]":
        """Return the texts' vectors, in their order; `on_done` gets how many there are by now.

        Raises what running a batch raised, if one of these texts was in it.
        """
        request = _Request(texts)
        told = 0
        with self._change:
            self._requests.append(request)
        try:
            while not request.ended:
                batch = self._take(request)
                if batch:
                    self._work(batch)
                if on_done is not None and len(request.vectors) > told:
                    told = len(request.vectors)
                    on_done(told)
        finally:
            with self._change:
                self._requests.remove(request)
        if request.error is not None:
            raise request.error
        return [request.vectors[place] for place in range(len(texts))]

    def _take(self, own: _Request) -> list[tuple[_Request, int]]:
        """Take the next batch to run, or wait until another thread has run one."""
        with self._change:
            if self._running and not own.ended:
                self._change.wait()
            if self._running or own.ended:
                return []
            waiting = [request for request in self._requests if request.todo]
            # Everybody's share, then whatever is there in the order of arrival.
            batch: list[tuple[_Request, int]] = []
            for share in (max(1, self._size // max(1, len(waiting))), self._size):
                for request in waiting:
                    count = min(share, self._size - len(batch), len(request.todo))
                    batch += [(request, request.todo.pop()) for _ in range(count)]
            self._running = bool(batch)
            return batch

    def _work(self, batch: list[tuple[_Request, int]]) -> None:
        try:
            for part in _even(batch):
                vectors = self._run([request.texts[place] for request, place in part])
                for (request, place), vector in zip(part, vectors, strict=True):
                    request.vectors[place] = vector
        except Exception as error:  # noqa: BLE001 - raised where the texts are from
            for request, _ in batch:
                request.error = error
        except BaseException:
            # This thread is to end; the others' texts are theirs again.
            with self._change:
                for request, place in batch:
                    if place not in request.vectors:
                        request.todo.append(place)
            raise
        finally:
            with self._change:
                self._running = False
                self._change.notify_all()


def _even(batch: list[tuple[_Request, int]]) -> list[list[tuple[_Request, int]]]:
    """Part a batch where texts become so short that padding them would cost more than a run."""
    parts: list[list[tuple[_Request, int]]] = []
    longest = tokens = 0
    for request, place in sorted(batch, key=lambda item: -len(item[0].texts[item[1]])):
        length = len(request.texts[place])
        if parts and longest * (len(parts[-1]) + 1) <= _PADDING * (tokens + length):
            parts[-1].append((request, place))
            tokens += length
        else:
            parts.append([(request, place)])
            longest = tokens = length
    return parts
