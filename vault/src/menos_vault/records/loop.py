"""An event loop in a thread of its own, for an asynchronous client behind a synchronous API.

The database's blocking client holds the interpreter's lock during a whole query, which would stop
heartbeats and every other thread; the asynchronous one releases it.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_LONGEST_FAREWELL = 5.0  # seconds that stop() waits for the client's threads
_DELIVERING = asyncio.BaseEventLoop.call_soon_threadsafe.__code__


class LoopThread:
    """Runs coroutines for callers of any thread."""

    def __init__(self, name: str) -> None:
        """Start the thread; it is a daemon, so that a forgotten close() blocks no exit."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin `work` there; what is started first begins first."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, future: "Future[T]", timeout: float) -> T:
        """Return the result of what was started, or raise what it raised.

        Raises TimeoutError after `timeout` seconds; the work is cancelled then.
        """
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Stop the loop once, and wait for its thread and for those that delivered results."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        # The client's native threads hand in results by `call_soon_threadsafe`, which wakes the
        # loop before it returns. If the interpreter ends while such a thread is still in there, the
        # thread is killed in the middle of native code, and that aborts the whole process.
        deadline = time.monotonic() + _LONGEST_FAREWELL
        while self._is_delivering() and time.monotonic() < deadline:
            time.sleep(0.001)
        self._loop.close()

    def _is_delivering(self) -> bool:
        """Say whether any thread is handing something to this loop."""
        for top in sys._current_frames().values():
            frame = top
            while frame is not None:
                if frame.f_code is _DELIVERING and frame.f_locals.get("self") is self._loop:
                    return True
                frame = frame.f_back  # type: ignore[assignment]
        return False

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
