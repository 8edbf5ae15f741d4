"""The quota store of one machine: a SQLite file that several processes may use."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from menos_bus.outcomes.sqlite import is_busy, use_wal
from menos_bus.quota.store import (
    KEPT_TURN_SECONDS,
    LEASE_SECONDS,
    Answer,
    Day,
    Lease,
    Pace,
    StoreDown,
    Usage,
    Verdict,
)

FILE: Final = "quota.sqlite3"
_BUSY_SECONDS: Final = 30.0
"""How long to wait for other processes."""
_LOOK_SECONDS: Final = 0.005
"""The longest time between two tries to be the one that writes. SQLite's own waiting goes up to
100 ms, in which others, who do not wait, take their turn again and again."""
_KEPT_SECONDS: Final = 3 * 24 * 3600
"""How long the counts of a day are kept after it."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS days (
  bucket TEXT NOT NULL,
  date   TEXT NOT NULL,               -- in the quota's zone
  ends   REAL NOT NULL,               -- seconds since the epoch
  used   INTEGER NOT NULL DEFAULT 0,
  closed TEXT,                        -- what the service said when it refused
  PRIMARY KEY (bucket, date)
) STRICT;
CREATE TABLE IF NOT EXISTS leases (
  id      TEXT NOT NULL,
  bucket  TEXT NOT NULL,
  open    INTEGER NOT NULL,           -- whether it may still be given back
  expires REAL NOT NULL,
  PRIMARY KEY (bucket, id)
) STRICT;
CREATE INDEX IF NOT EXISTS leases_by_end ON leases (expires);
CREATE TABLE IF NOT EXISTS turns (
  bucket TEXT PRIMARY KEY,
  next   REAL NOT NULL                -- when a use that keeps the pace exactly would be due
) STRICT;
CREATE TABLE IF NOT EXISTS bookings (
  bucket  TEXT NOT NULL,
  booking TEXT NOT NULL,              -- who comes again
  due     REAL NOT NULL,              -- when it is its turn
  PRIMARY KEY (bucket, booking)
) STRICT;
PRAGMA user_version = 1;
"""


class SQLiteQuotaStore:
    """Counts in ``<home>/quota.sqlite3``.

    Writes begin with ``BEGIN IMMEDIATE``: a deferred transaction that turns into a write fails
    with "locked" instead of waiting. They are flushed, since after a power cut too few used units
    would be remembered.

    Args:
        folder: the data folder; it and the file are made when something is first reserved.
        clock: seconds since the epoch.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE
        self.now = clock
        self._local = threading.local()

    def reserve(self, lease: Lease, allowed: int | None, pace: Pace | None) -> Answer:
        """Count a lease's units, if they fit; see :class:`menos_bus.quota.store.QuotaStore`."""
        with self._write() as db:
            now = self.now()
            if not lease.day.start <= now < lease.day.end:
                return Answer(Verdict.OTHER_DAY, 0, 0.0, now)
            self._tidy(db, now)
            used, closed = self._count(db, lease.bucket, lease.day)
            known = db.execute(
                "SELECT 1 FROM leases WHERE bucket = ? AND id = ?", (lease.bucket, lease.id)
            ).fetchone()
            if known:
                return Answer(Verdict.GRANTED, used, 0.0, now)
            if closed is not None:
                return Answer(Verdict.CLOSED, used, 0.0, now)
            if allowed is not None and used + lease.units > allowed:
                return Answer(Verdict.EXHAUSTED, used, 0.0, now)
            wait = 0.0 if pace is None else _turn(db, lease.bucket, pace, now)
            if pace is not None and (wait > pace.patience or now + wait >= lease.day.end):
                _keep_turn(db, lease.bucket, pace, now + wait)
                return Answer(Verdict.TOO_FAST, used, wait, now)
            db.execute(
                "INSERT INTO leases (id, bucket, open, expires) VALUES (?, ?, 1, ?)",
                (lease.id, lease.bucket, now + LEASE_SECONDS),
            )
            self._add(db, lease.bucket, lease.day, lease.units)
            return Answer(Verdict.GRANTED, used + lease.units, wait, now)

    def commit(self, lease: Lease) -> bool:
        """Note that the units are spent for good."""
        with self._write() as db:
            return self._settle(db, lease)

    def refund(self, lease: Lease) -> bool:
        """Give the units back, if their lease is still open."""
        with self._write() as db:
            if not self._settle(db, lease):
                return False
            # Forgotten, so that the same id could be reserved anew.
            key = (lease.bucket, lease.id)
            db.execute("DELETE FROM leases WHERE bucket = ? AND id = ?", key)
            self._add(db, lease.bucket, lease.day, -lease.units)
            return True

    def close(self, bucket: str, day: Day, reason: str) -> None:
        """Grant nothing more of this day."""
        with self._write() as db:
            self._add(db, bucket, day, 0)
            db.execute(
                "UPDATE days SET closed = ? WHERE bucket = ? AND date = ?",
                (reason, bucket, day.date),
            )

    def reopen(self, bucket: str, day: Day) -> None:
        """Take back :meth:`close`."""
        with self._write() as db:
            key = (bucket, day.date)
            db.execute("UPDATE days SET closed = NULL WHERE bucket = ? AND date = ?", key)

    def usage(self, bucket: str, day: Day) -> Usage:
        """What was used of a day; looking makes no file."""
        with self._answering():
            if not self.path.exists():
                return Usage()
            return Usage(*self._count(self._connection, bucket, day))

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            use_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            _begin(connection)
            with connection:
                # One by one: `executescript` would end the transaction.
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
            self._local.connection = connection
        return connection

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreDown(f"the quota store {self.path} cannot be used: {error}") from error

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._answering():
            connection = self._connection
            _begin(connection)
            # Commits, or rolls back what SQLite has not rolled back by itself.
            with connection:
                yield connection

    @staticmethod
    def _tidy(db: sqlite3.Connection, now: float) -> None:
        db.execute("DELETE FROM leases WHERE expires <= ?", (now,))
        db.execute("DELETE FROM days WHERE ends <= ?", (now - _KEPT_SECONDS,))
        db.execute("DELETE FROM bookings WHERE due <= ?", (now - KEPT_TURN_SECONDS,))

    @staticmethod
    def _count(db: sqlite3.Connection, bucket: str, day: Day) -> tuple[int, str | None]:
        row = db.execute(
            "SELECT used, closed FROM days WHERE bucket = ? AND date = ?", (bucket, day.date)
        ).fetchone()
        return row or (0, None)

    @staticmethod
    def _add(db: sqlite3.Connection, bucket: str, day: Day, units: int) -> None:
        db.execute(
            "INSERT INTO days (bucket, date, ends, used) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (bucket, date) DO UPDATE SET used = used + excluded.used",
            (bucket, day.date, day.end, units),
        )

    def _settle(self, db: sqlite3.Connection, lease: Lease) -> bool:
        settled = db.execute(
            "UPDATE leases SET open = 0 WHERE bucket = ? AND id = ? AND open AND expires > ?",
            (lease.bucket, lease.id, self.now()),
        )
        return settled.rowcount > 0


def _begin(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0, _LOOK_SECONDS))  # noqa: S311 - no secret


def _turn(db: sqlite3.Connection, bucket: str, pace: Pace, now: float) -> float:
    """Take the next turn, or the one that was kept: seconds until it is due.

    The generic cell rate algorithm (ITU-T I.371, virtual scheduling).
    """
    kept = db.execute(
        "DELETE FROM bookings WHERE bucket = ? AND booking = ? RETURNING due",
        (bucket, pace.booking),
    ).fetchone()
    if kept:
        return max(0.0, float(kept[0]) - now)
    row = db.execute("SELECT next FROM turns WHERE bucket = ?", (bucket,)).fetchone()
    # What lies days ahead is of a clock that was wrong.
    due = max(row[0], now) if row and row[0] < now + _KEPT_SECONDS else now
    db.execute(
        "INSERT INTO turns (bucket, next) VALUES (?, ?)"
        " ON CONFLICT (bucket) DO UPDATE SET next = excluded.next",
        (bucket, due + pace.interval),
    )
    return max(0.0, float(due) - (pace.burst - 1) * pace.interval - now)


def _keep_turn(db: sqlite3.Connection, bucket: str, pace: Pace, due: float) -> None:
    db.execute(
        "INSERT OR REPLACE INTO bookings (bucket, booking, due) VALUES (?, ?, ?)",
        (bucket, pace.booking, due),
    )
