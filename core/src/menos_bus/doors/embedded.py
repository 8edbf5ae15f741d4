"""Everything in one process: worker, broker in memory, Flower, HTTP API: ``menos-bus up``."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import celery.worker.state
from celery.exceptions import WorkerShutdown
from celery.platforms import SecurityWarning
from celery.signals import worker_ready
from celery.worker.control import control_command

from menos_bus.bus import Bus
from menos_bus.doors.credentials import logins
from menos_bus.doors.recovery import put_back, recover, send_reopened
from menos_bus.doors.running import Address, announce, lock, withdraw
from menos_bus.doors.serving import ApiServer, CannotListen, installed, url_of
from menos_bus.errors import BusUnavailable, SettingsError
from menos_bus.messages.topology import plugin_of
from menos_bus.outcomes.sqlite import SQLiteLedger
from menos_bus.tasks.contract import CORE_QUEUES

logger = logging.getLogger(__name__)

_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.2
_END: Final = "menos_bus_end"


@control_command(name=_END)  # type: ignore[untyped-decorator]
def _end_worker(state: Any) -> None:
    """Let the worker that gets this finish what it runs and end, without a word in the log."""
    raise WorkerShutdown(os.EX_OK)


class EmbeddedBus:
    """The one process that serves a data folder.

    Args:
        bus: a bus with embedded settings.

    Raises:
        AlreadyRunning: another process serves the folder.
        SettingsError: a port is taken, or the credentials cannot be read.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._lock = lock(bus.settings.make_home())
        self._api: ApiServer | None = None
        try:
            self.logins = logins(bus.settings)
            # Not before the lock: the first one to import Flower's options is the only one.
            from menos_bus.doors.flower import make_flower

            self._flower = make_flower(bus, self.logins)
            self.address = self._listen()
        except BaseException:
            if self._api is not None:
                self._api.close()
            self._lock.release()
            raise
        ledger = bus.app.ledger
        assert isinstance(ledger, SQLiteLedger)
        self._ledger = ledger
        bus.app.watchers.hear_all = True
        self._worker_ready = threading.Event()
        self._signals = 0

    def _listen(self) -> Address:
        taken: list[CannotListen] = []
        try:
            port = self._flower.start_http_server()
        except CannotListen as error:
            taken.append(error)
        try:
            if installed():
                self._api = ApiServer(self.bus, self.logins)
        except CannotListen as error:
            taken.append(error)
        if taken:
            # All at once, so that nobody has to start it for each of them.
            raise SettingsError("; ".join(error.message for error in taken))
        operator, caller = self.logins.operator, self.logins.caller
        return Address(
            url_of(self.bus.settings.flower_host, port),
            operator.user,
            operator.password,
            os.getpid(),
            caller.user,
            caller.password,
            None if self._api is None else self._api.url,
        )

    def run(self, on_ready: Callable[[Address], None]) -> None:
        """Serve until SIGINT or SIGTERM.

        What runs then may finish within ``MENOS_SHUTDOWN_GRACE``; what does not finish, and what
        waits, is run at the next start. A second signal ends the process at once.

        Args:
            on_ready: called when calls are taken and served.

        Raises:
            BusUnavailable: the worker ended without having been told to, or was not ready in time.
        """
        loop = self._flower.io_loop
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        self._ledger.expire(self.bus.settings.result_expires)
        recover(self.bus.app, self._ledger)
        worker = threading.Thread(target=self._work, name="worker", daemon=True)
        worker.start()

        try:
            # Flower asks the workers once, when it starts.
            if self._is_ready(worker):
                loop.add_callback(self._announce, on_ready)
                self._schedule()
                if self._api is not None:
                    self._api.start()
                self._flower.start()
            elif worker.is_alive() and not self._signals:
                raise BusUnavailable(
                    f"the worker was not ready within {_START_SECONDS:g} s: start the bus again; "
                    "if that is no help, a plugin may keep the worker from starting: leave one "
                    "after the other out with MENOS_PLUGINS"
                )
        finally:
            if self._api is not None:
                self._api.stop()
            self._flower.hang_up()
            finished = self._stop(worker) or not self._worker_ready.is_set()
            if not finished:
                put_back(self._ledger)
            withdraw(self.bus.settings.home)
            self._lock.release()
            if not finished:
                # The threads of tasks that did not finish would keep the process alive.
                logging.shutdown()
                os._exit(0)
        if not self._signals:
            raise BusUnavailable("the worker ended by itself; the lines above say why")

    def _is_ready(self, worker: threading.Thread) -> bool:
        """Wait until the worker serves; it may end instead, or somebody the waiting."""
        deadline = time.monotonic() + _START_SECONDS
        while worker.is_alive() and not self._signals and time.monotonic() < deadline:
            if self._worker_ready.wait(_LOOK_SECONDS):
                return True
        return False

    def _announce(self, on_ready: Callable[[Address], None]) -> None:
        announce(self.bus.settings.home, self.address)
        on_ready(self.address)

    def _work(self) -> None:
        names = [queue.name for queue in self.bus.app.conf.task_queues]
        loaded = {plugin.name for plugin in self.bus.loaded} | {*CORE_QUEUES}
        worker_ready.connect(self._on_worker_ready, weak=False)
        # Being root matters where strangers reach the broker; this one is in the process.
        warnings.filterwarnings("ignore", category=SecurityWarning)
        worker = self.bus.app.Worker(
            pool="threads",
            concurrency=self.bus.settings.concurrency,
            # Of a plugin that failed nothing may be consumed: its messages would be rejected.
            queues=[name for name in names if plugin_of(name) in loaded],
            hostname=f"embedded@{socket.gethostname()}",
            without_gossip=True,
            without_mingle=True,
            loglevel=self.bus.settings.log_level,
            quiet=True,
        )
        try:
            worker.start()
        except SystemExit:
            pass
        except BaseException:
            logger.exception("the worker ended")
        finally:
            # Without its worker the bus would take calls that nobody serves.
            self._flower.io_loop.add_callback(self._flower.stop)

    def _on_worker_ready(self, **_: Any) -> None:
        self._worker_ready.set()

    def _on_signal(self, *_: object) -> None:
        self._signals += 1
        if self._signals > 1:
            put_back(self._ledger)
            os._exit(130)
        grace = self.bus.settings.shutdown_grace
        said = f"Stopping; running tasks have {grace:g} s to finish. Ctrl-C again stops at once.\n"
        os.write(sys.stderr.fileno(), said.encode())
        self._flower.io_loop.add_callback_from_signal(self._flower.stop)

    def _stop(self, worker: threading.Thread) -> bool:
        """Let the worker end within the grace; whether it did."""
        celery.worker.state.should_stop = os.EX_OK
        # It looks at that only between two waits of 2 s for messages; a message ends the wait.
        self.bus.app.control.broadcast(_END)
        # One that never served runs nothing that could finish.
        worker.join(self.bus.settings.shutdown_grace if self._worker_ready.is_set() else 0)
        return not worker.is_alive()

    def _schedule(self) -> None:
        from tornado.ioloop import PeriodicCallback

        PeriodicCallback(
            lambda: self._ledger.expire(self.bus.settings.result_expires), 3600 * 1000
        ).start()
        PeriodicCallback(lambda: send_reopened(self.bus.app, self._ledger), 1000).start()
