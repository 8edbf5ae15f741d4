"""Whether an embedded bus serves a data folder, and where: its lock and its address."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from menos_bus.doors.private_file import write_private
from menos_bus.errors import BusUnavailable, SettingsError

LOCK: Final = "bus.lock"
RUNNING: Final = "bus.json"


@dataclass(frozen=True)
class Address:
    """Where a running embedded bus is, and how to get in.

    Attributes:
        url: Flower's.
        user: the operator's name.
        password: the operator's.
        pid: the process.
        caller_user: the callers' name.
        caller_password: theirs.
        api_url: the HTTP API's, ``None`` where it is not installed.
    """

    url: str
    user: str
    password: str = field(repr=False)
    pid: int = 0
    caller_user: str = ""
    caller_password: str = field(default="", repr=False)
    api_url: str | None = None


class AlreadyRunning(SettingsError):
    """Another process serves this data folder."""

    code = "already_running"


def find_running(home: Path) -> Address | None:
    """The embedded bus that serves a data folder now, or ``None``.

    Raises:
        BusUnavailable: it does not say where it is.
        SettingsError: the folder is another user's.
    """
    path = home / RUNNING
    taken = FileLock(home / LOCK)
    try:
        if not path.exists():
            return None
        taken.acquire(blocking=False)
    except Timeout:
        try:
            return Address(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise BusUnavailable(f"{path} cannot be read: {error}") from error
    except OSError as error:
        raise SettingsError(
            f"the data folder {home.resolve()} cannot be looked into ({error.strerror}): call "
            "as the user who runs the bus, or set MENOS_HOME to another folder"
        ) from error
    taken.release()
    return None


def lock(home: Path) -> FileLock:
    """Take the data folder for this process.

    Raises:
        AlreadyRunning: another process has it; says where it is.
    """
    taken = FileLock(home / LOCK)
    try:
        # Somebody who only looks (find_running) holds it for a moment, too.
        taken.acquire(timeout=1)
    except Timeout:
        running = find_running(home)
        where = f" at {running.url} (process {running.pid})" if running else ""
        raise AlreadyRunning(
            f"a bus is already running{where} on the data folder {home.resolve()}: use it, stop "
            "it, or set MENOS_HOME to another folder"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"the data folder {home.resolve()} cannot be written ({error.strerror}): correct its "
            "rights, or set MENOS_HOME to another folder"
        ) from error
    withdraw(home)  # of one that was killed
    return taken


def announce(home: Path, address: Address) -> None:
    """Write where the bus is, for its owner's eyes only."""
    write_private(home / RUNNING, json.dumps(asdict(address)))


def withdraw(home: Path) -> None:
    """Take back what :func:`announce` wrote."""
    (home / RUNNING).unlink(missing_ok=True)
