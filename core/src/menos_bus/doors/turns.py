"""Submitting off the event loop, so many calls at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from menos_bus.bus import Bus
from menos_bus.errors import BusUnavailable

AT_A_TIME: Final = 32
LONGEST_WAIT: Final = 1.0
"""Seconds to wait for a turn. A submission may take as long as a broker in trouble lets it, some
ten seconds: who would wait behind others for that is told at once to come again."""


class Turns:
    """The way from a door's event loop to :meth:`Bus.submit`, which blocks."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._free = asyncio.Semaphore(AT_A_TIME)
        # Of their own, so that results can be read while all of them hang.
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="submit")

    async def submit(
        self, name: str, args: list[Any], kwargs: dict[str, Any], **options: Any
    ) -> str:
        """Submit a call when it is its turn.

        Returns:
            The task id.

        Raises:
            CallError: nothing was queued; the subclass says why.
        """
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self._free.acquire()
        except TimeoutError:
            raise BusUnavailable("too many calls wait for the broker: try again") from None
        send = partial(self._bus.submit, name, args, kwargs, **options)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, send)
        finally:
            self._free.release()
