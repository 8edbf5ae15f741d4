"""The ledger of one machine: a SQLite file that also holds the results.

One row per call carries both, so that "accepted", "running" and "finished with this result" can
never disagree, whenever the process is killed.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from celery import states

from menos_bus.errors import BusUnavailable, CallConflict
from menos_bus.outcomes.ledger import Accepted, Entry

FILE: Final = "ledger.sqlite3"
RUNNING: Final = (states.STARTED, "PROGRESS")
_READY: Final = tuple(sorted(states.READY_STATES))
_READY_MARKS: Final = ",".join("?" * len(_READY))

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (
  task_id     TEXT PRIMARY KEY,
  task        TEXT NOT NULL,
  queue       TEXT NOT NULL,
  digest      TEXT NOT NULL,
  message     TEXT,               -- JSON; dropped when the call has succeeded
  state       TEXT NOT NULL,
  meta        TEXT,               -- JSON: what Celery's result backend stores
  cut_off     INTEGER NOT NULL DEFAULT 0,  -- times that it was running when its process died
  accepted_at REAL NOT NULL,      -- seconds since the epoch
  updated_at  REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS calls_by_state ON calls (state, queue);
CREATE TABLE IF NOT EXISTS groups (
  group_id   TEXT PRIMARY KEY,
  meta       TEXT NOT NULL,
  updated_at REAL NOT NULL
) STRICT;
PRAGMA user_version = 1;
"""


class SQLiteLedger:
    """Accepted calls and their results in ``<home>/ledger.sqlite3``.

    Several threads and processes may use one file. Writes begin with ``BEGIN IMMEDIATE``: a
    deferred transaction that turns into a write fails with "locked" instead of waiting.

    Args:
        folder: the data folder; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / FILE
        self._local = threading.local()
        self._connection.executescript(_SCHEMA)

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            # With a write-ahead log this survives the death of the process; only a power cut can
            # take the last moments, and `accept` pays for those.
            connection.execute("PRAGMA synchronous = NORMAL")
            self._local.connection = connection
        return connection

    @contextmanager
    def _write(self, *, flushed: bool = False) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        if flushed:
            connection.execute("PRAGMA synchronous = FULL")
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        finally:
            if flushed:
                connection.execute("PRAGMA synchronous = NORMAL")

    # acceptance

    def accept(self, entry: Entry) -> Accepted:
        """Record a call before it is published; on disk when this returns.

        Raises:
            CallConflict: the id belongs to a call with another task or other arguments.
            BusUnavailable: the file is locked for long, or the disk is full.
        """
        try:
            return self._accept(entry)
        except sqlite3.Error as error:
            raise BusUnavailable(
                f"the ledger {self.path} cannot be written ({error}): try again"
            ) from error

    def _accept(self, entry: Entry) -> Accepted:
        now = time.time()
        with self._write(flushed=True) as db:
            cursor = db.execute(
                "INSERT INTO calls (task_id, task, queue, digest, message, state, accepted_at,"
                " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (task_id) DO NOTHING",
                (
                    entry.task_id,
                    entry.task,
                    entry.queue,
                    entry.digest,
                    json.dumps(entry.message),
                    states.PENDING,
                    now,
                    now,
                ),
            )
            if cursor.rowcount:
                return Accepted.NEW
            (digest,) = db.execute(
                "SELECT digest FROM calls WHERE task_id = ?", (entry.task_id,)
            ).fetchone()
        if digest != entry.digest:
            raise CallConflict.of(entry.task_id)
        return Accepted.REPEATED

    def accept_again(self, entry: Entry) -> None:
        """Replace the message of a call that sends itself again."""
        with self._write() as db:
            db.execute(
                "UPDATE calls SET message = ?, queue = ?, updated_at = ? WHERE task_id = ?",
                (json.dumps(entry.message), entry.queue, time.time(), entry.task_id),
            )

    def withdraw(self, task_id: str) -> None:
        """Forget a call that could not be published."""
        with self._write() as db:
            db.execute(
                "DELETE FROM calls WHERE task_id = ? AND state = ?", (task_id, states.PENDING)
            )

    def __contains__(self, task_id: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM calls WHERE task_id = ?", (task_id,))
        return found.fetchone() is not None

    def find(self, task_id: str) -> Entry | None:
        """The record of a call, or ``None``."""
        row = self._connection.execute(
            "SELECT task_id, task, queue, digest, message, state, accepted_at FROM calls"
            " WHERE task_id = ?",
            (task_id,),
        ).fetchone()
        return _entry(row) if row else None

    def depths(self) -> dict[str, dict[str, int]]:
        """Queue → state → number of calls that are not terminal yet."""
        rows = self._connection.execute(
            f"SELECT queue, state, count(*) FROM calls WHERE state NOT IN ({_READY_MARKS})"  # noqa: S608
            " GROUP BY queue, state",
            _READY,
        )
        depths: dict[str, dict[str, int]] = {}
        for queue, state, count in rows:
            depths.setdefault(queue, {})[state] = count
        return depths

    # results

    def store(self, task_id: str, task: str, state: str, meta: dict[str, Any]) -> None:
        """Write a state with its result; a terminal state is never overwritten by another."""
        now = time.time()
        message = ", message = NULL" if state == states.SUCCESS else ""
        with self._write() as db:
            db.execute(
                "INSERT INTO calls (task_id, task, queue, digest, state, meta, accepted_at,"  # noqa: S608
                " updated_at) VALUES (?, ?, '', '', ?, ?, ?, ?) ON CONFLICT (task_id) DO UPDATE"
                f" SET state = excluded.state, meta = excluded.meta, updated_at = ?{message}"
                f" WHERE calls.state NOT IN ({_READY_MARKS})",
                (task_id, task, state, json.dumps(meta), now, now, now, *_READY),
            )

    def meta(self, task_id: str) -> dict[str, Any] | None:
        """What was stored for a call, or ``None``."""
        row = self._connection.execute(
            "SELECT meta FROM calls WHERE task_id = ?", (task_id,)
        ).fetchone()
        return json.loads(row[0]) if row and row[0] else None

    def forget(self, task_id: str) -> None:
        """Delete a call and its result."""
        with self._write() as db:
            db.execute("DELETE FROM calls WHERE task_id = ?", (task_id,))

    def store_group(self, group_id: str, meta: Any) -> None:
        """Write the members of a Celery group."""
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO groups (group_id, meta, updated_at) VALUES (?, ?, ?)",
                (group_id, json.dumps(meta), time.time()),
            )

    def group(self, group_id: str) -> Any:
        """The members of a Celery group, or ``None``."""
        row = self._connection.execute(
            "SELECT meta FROM groups WHERE group_id = ?", (group_id,)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def forget_group(self, group_id: str) -> None:
        """Delete the record of a Celery group."""
        with self._write() as db:
            db.execute("DELETE FROM groups WHERE group_id = ?", (group_id,))

    def expire(self, seconds: float) -> None:
        """Delete what reached its terminal state longer ago than this."""
        until = time.time() - seconds
        with self._write() as db:
            db.execute(
                f"DELETE FROM calls WHERE updated_at < ? AND state IN ({_READY_MARKS})",  # noqa: S608
                (until, *_READY),
            )
            db.execute("DELETE FROM groups WHERE updated_at < ?", (until,))

    # recovery: for the one process that serves the folder

    def requeue_running(self) -> None:
        """At an orderly stop: what did not finish waits again, and was not cut off by a crash."""
        with self._write() as db:
            db.execute(
                "UPDATE calls SET state = ?, meta = NULL WHERE state IN (?, ?)",
                (states.PENDING, *RUNNING),
            )

    def unfinished(self) -> list[tuple[Entry, int]]:
        """Every call without a terminal state, oldest first, and how often it was cut off.

        A call that is found running was cut off once more, since no process is running it.
        """
        with self._write() as db:
            db.execute(
                "UPDATE calls SET cut_off = cut_off + 1, state = ?, meta = NULL"
                " WHERE state IN (?, ?)",
                (states.PENDING, *RUNNING),
            )
            rows = db.execute(
                "SELECT task_id, task, queue, digest, message, state, accepted_at, cut_off"  # noqa: S608
                f" FROM calls WHERE state NOT IN ({_READY_MARKS}) AND message IS NOT NULL"
                " ORDER BY accepted_at",
                _READY,
            ).fetchall()
        return [(_entry(row[:7]), row[7]) for row in rows]


def _entry(row: tuple[Any, ...]) -> Entry:
    task_id, task, queue, digest, message, state, accepted_at = row
    content = json.loads(message) if message else {}
    return Entry(task_id, task, queue, digest, content, state, accepted_at)
