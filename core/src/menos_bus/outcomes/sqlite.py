"""The ledger of one machine: a SQLite file that also holds the results.

One row per call carries both, so that "accepted", "running" and "finished with this result" can
never disagree, whenever the process is killed.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from celery import states

from menos_bus.errors import BusUnavailable, CallConflict, UnknownTaskId
from menos_bus.outcomes.ledger import ACCEPTED_HEADER, CALLBACK_SECONDS, Accepted, Entry

FILE: Final = "ledger.sqlite3"
_BUSY_SECONDS: Final = 10.0
RUNNING: Final = (states.STARTED, "PROGRESS")
_READY: Final = tuple(sorted(states.READY_STATES))
_READY_MARKS: Final = ",".join("?" * len(_READY))

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (
  task_id     TEXT PRIMARY KEY,
  task        TEXT NOT NULL,
  queue       TEXT NOT NULL,
  digest      TEXT NOT NULL,
  message     TEXT,               -- JSON, dropped when the call has succeeded
  state       TEXT NOT NULL,
  meta        TEXT,               -- JSON: what Celery's result backend stores
  cut_off     INTEGER NOT NULL DEFAULT 0,  -- times that it was running when its process died
  accepted_at REAL NOT NULL,      -- seconds since the epoch
  updated_at  REAL NOT NULL,
  callback_url TEXT,              -- where the outcome is to be sent
  callback_owed INTEGER NOT NULL DEFAULT 0,  -- terminal, and nobody has taken the sending over
  reopened    INTEGER NOT NULL DEFAULT 0,  -- waits to be sent again by the bus that runs
  rounds      INTEGER NOT NULL DEFAULT 0,  -- times that it was taken up again after a failure
  discarded   INTEGER NOT NULL DEFAULT 0   -- a failure that somebody has dealt with
) STRICT;
CREATE INDEX IF NOT EXISTS calls_by_state ON calls (state, queue);
CREATE INDEX IF NOT EXISTS calls_reopened ON calls (updated_at) WHERE reopened;
CREATE INDEX IF NOT EXISTS calls_owed ON calls (updated_at) WHERE callback_owed;
CREATE TABLE IF NOT EXISTS groups (
  group_id   TEXT PRIMARY KEY,
  meta       TEXT NOT NULL,
  updated_at REAL NOT NULL
) STRICT;
PRAGMA user_version = 2;
"""
_TO_VERSION_2: Final = """
ALTER TABLE calls ADD COLUMN callback_url TEXT;
ALTER TABLE calls ADD COLUMN callback_owed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN reopened INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN rounds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN discarded INTEGER NOT NULL DEFAULT 0;
"""
_ENTRY: Final = (
    "task_id, task, queue, digest, message, callback_url, state, accepted_at, cut_off, rounds"
)


class SQLiteLedger:
    """Accepted calls and their results in ``<home>/ledger.sqlite3``.

    Several threads and processes may use one file. Writes begin with ``BEGIN IMMEDIATE``: a
    deferred transaction that turns into a write fails with "locked" instead of waiting.

    Args:
        folder: the data folder; created if missing.

    Raises:
        BusUnavailable: the file cannot be used: locked for long, no database, a full disk. Every
            method may raise it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / FILE
        self._local = threading.local()
        self._prepare()

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
            use_wal(connection)
            # With a write-ahead log this survives the death of the process; only a power cut can
            # take the last moments, and `accept` pays for those.
            connection.execute("PRAGMA synchronous = NORMAL")
            self._local.connection = connection
        return connection

    def _prepare(self) -> None:
        """Make the tables, or bring those of an earlier version up to date."""
        with self._write() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            # One by one: `executescript` would end the transaction.
            for statement in (_TO_VERSION_2 if version == 1 else "").split(";"):
                db.execute(statement)
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    @contextmanager
    def _write(self, *, flushed: bool = False) -> Iterator[sqlite3.Connection]:
        with self._answering():
            connection = self._connection
            if flushed:
                connection.execute("PRAGMA synchronous = FULL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                # Commits, or rolls back what SQLite has not rolled back by itself.
                with connection:
                    yield connection
            finally:
                if flushed:
                    connection.execute("PRAGMA synchronous = NORMAL")

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._answering():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BusUnavailable(
                f"the ledger {self.path} cannot be used ({error}): try again"
            ) from error

    # acceptance

    def accept(self, entry: Entry) -> Accepted:
        """Record a call before it is published; on disk when this returns.

        Raises:
            CallConflict: the id belongs to a call with another task or other arguments.
        """
        now = time.time()
        with self._write(flushed=True) as db:
            cursor = db.execute(
                "INSERT INTO calls (task_id, task, queue, digest, message, callback_url, state,"
                " accepted_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (task_id) DO NOTHING",
                (
                    entry.task_id,
                    entry.task,
                    entry.queue,
                    entry.digest,
                    json.dumps(entry.message),
                    entry.callback_url,
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

    def published(self, task_id: str) -> None:
        """Nothing to note: the broker is in this process, and starts from the ledger."""

    def accept_again(self, entry: Entry) -> str:
        """Replace the message of a call that sends itself again."""
        with self._write() as db:
            db.execute(
                "UPDATE calls SET message = ?, queue = ?, updated_at = ? WHERE task_id = ?",
                (json.dumps(entry.message), entry.queue, time.time(), entry.task_id),
            )
        return entry.token

    def withdraw(self, task_id: str) -> None:
        """Forget a call that could not be published."""
        with self._write() as db:
            db.execute(
                "DELETE FROM calls WHERE task_id = ? AND state = ?", (task_id, states.PENDING)
            )

    def __contains__(self, task_id: str) -> bool:
        return bool(self._read("SELECT 1 FROM calls WHERE task_id = ?", task_id))

    def find(self, task_id: str) -> Entry | None:
        """The record of a call, or ``None``."""
        rows = self._read(f"SELECT {_ENTRY} FROM calls WHERE task_id = ?", task_id)  # noqa: S608
        return _entry(rows[0]) if rows else None

    def depths(self) -> dict[str, dict[str, int]]:
        """Queue → state → number of calls that are not terminal yet."""
        rows = self._read(
            f"SELECT queue, state, count(*) FROM calls WHERE state NOT IN ({_READY_MARKS})"  # noqa: S608
            " GROUP BY queue, state",
            *_READY,
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
        owed = ", callback_owed = callback_url IS NOT NULL" if state in _READY else ""
        # It outlived its runs so far: what counts is deaths in a row.
        alive = ", cut_off = 0" if state == states.RETRY else ""
        with self._write() as db:
            db.execute(
                "INSERT INTO calls (task_id, task, queue, digest, state, meta, accepted_at,"  # noqa: S608
                " updated_at) VALUES (?, ?, '', '', ?, ?, ?, ?) ON CONFLICT (task_id) DO UPDATE"
                f" SET state = excluded.state, meta = excluded.meta, updated_at = ?"
                f"{message}{owed}{alive} WHERE calls.state NOT IN ({_READY_MARKS})",
                (task_id, task, state, json.dumps(meta), now, now, now, *_READY),
            )

    def meta(self, task_id: str) -> dict[str, Any] | None:
        """What was stored for a call, or ``None``."""
        rows = self._read("SELECT meta FROM calls WHERE task_id = ?", task_id)
        return json.loads(rows[0][0]) if rows and rows[0][0] else None

    def keep(self, task_ids: Sequence[str]) -> None:
        """Let calls that have ended be known for as long as if they had ended just now."""
        now = time.time()
        with self._write() as db:
            db.executemany(
                f"UPDATE calls SET updated_at = ? WHERE task_id = ? AND state IN ({_READY_MARKS})",  # noqa: S608
                [(now, task_id, *_READY) for task_id in task_ids],
            )

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
        rows = self._read("SELECT meta FROM groups WHERE group_id = ?", group_id)
        return json.loads(rows[0][0]) if rows else None

    def forget_group(self, group_id: str) -> None:
        """Delete the record of a Celery group."""
        with self._write() as db:
            db.execute("DELETE FROM groups WHERE group_id = ?", (group_id,))

    def expire(self, seconds: float) -> None:
        """Delete what reached its terminal state longer ago than this."""
        now = time.time()
        until = now - seconds
        with self._write() as db:
            db.execute(
                f"DELETE FROM calls WHERE updated_at < ? AND state IN ({_READY_MARKS})"  # noqa: S608
                " AND (callback_url IS NULL OR updated_at < ?)",
                (until, *_READY, now - CALLBACK_SECONDS),
            )
            db.execute("DELETE FROM groups WHERE updated_at < ?", (until,))

    # after the end: callbacks and failures

    def owed_callbacks(self, limit: int = 100) -> list[Entry]:
        """Calls in a terminal state whose callback nobody has taken over yet, oldest first."""
        rows = self._read(
            f"SELECT {_ENTRY} FROM calls WHERE callback_owed ORDER BY updated_at LIMIT ?",  # noqa: S608
            limit,
        )
        return [_entry(row) for row in rows]

    def callback_taken(self, task_id: str) -> None:
        """Note that the delivery of a call's callback is accepted."""
        with self._write() as db:
            db.execute("UPDATE calls SET callback_owed = 0 WHERE task_id = ?", (task_id,))

    def failed(self) -> list[tuple[Entry, float]]:
        """Every failed call that was not discarded, and when it failed."""
        rows = self._read(
            f"SELECT {_ENTRY}, updated_at FROM calls"  # noqa: S608
            " WHERE state = ? AND NOT discarded AND message IS NOT NULL ORDER BY updated_at",
            states.FAILURE,
        )
        return [(_entry(row[:-1]), row[-1]) for row in rows]

    def reopen(self, task_id: str) -> Entry:
        """Make a failed call wait again, in a new round.

        Raises:
            UnknownTaskId: it is not known.
            CallConflict: it has not failed.
        """
        entry = self.find(task_id)
        if entry is None:
            raise UnknownTaskId(f"no call with the id {task_id!r} is known any more")
        with self._write() as db:
            changed = db.execute(
                "UPDATE calls SET state = ?, meta = NULL, cut_off = 0, callback_owed = 0,"
                " reopened = 1, rounds = rounds + 1, updated_at = ? WHERE task_id = ? AND state = ?"
                " AND NOT discarded",
                (states.PENDING, time.time(), task_id, states.FAILURE),
            )
        if not changed.rowcount:
            raise CallConflict(f"{task_id} has not failed: it is {entry.state}")
        entry = self.find(task_id)
        assert entry is not None
        return entry

    def take_reopened(self) -> list[Entry]:
        """The calls that were reopened and not taken yet, for the bus to send again."""
        if not self._read("SELECT 1 FROM calls WHERE reopened LIMIT 1"):
            return []
        with self._write() as db:
            rows = db.execute(
                f"SELECT {_ENTRY} FROM calls WHERE reopened ORDER BY updated_at"  # noqa: S608
            ).fetchall()
            db.execute("UPDATE calls SET reopened = 0 WHERE reopened")
        return [_entry(row) for row in rows]

    def discard(self, task_id: str) -> bool:
        """Take a call off the list of :meth:`failed`, if it is there; its result stays."""
        with self._write() as db:
            changed = db.execute(
                "UPDATE calls SET discarded = 1, message = NULL"
                " WHERE task_id = ? AND state = ? AND NOT discarded",
                (task_id, states.FAILURE),
            )
        return bool(changed.rowcount)

    # recovery: for the one process that serves the folder

    def requeue_running(self) -> None:
        """At an orderly stop: what did not finish waits again, and was not cut off by a crash."""
        with self._write() as db:
            db.execute(
                "UPDATE calls SET state = ?, meta = NULL WHERE state IN (?, ?)",
                (states.PENDING, *RUNNING),
            )

    def unfinished(self) -> list[Entry]:
        """Every call without a terminal state, oldest first; ``starts`` that were cut off.

        A call that is found running was cut off once more, since no process is running it.
        """
        with self._write() as db:
            db.execute(
                "UPDATE calls SET cut_off = cut_off + 1, state = ?, meta = NULL"
                " WHERE state IN (?, ?)",
                (states.PENDING, *RUNNING),
            )
            db.execute("UPDATE calls SET reopened = 0 WHERE reopened")
            rows = db.execute(
                f"SELECT {_ENTRY} FROM calls"  # noqa: S608
                f" WHERE state NOT IN ({_READY_MARKS}) AND message IS NOT NULL"
                " ORDER BY accepted_at",
                _READY,
            ).fetchall()
        return [_entry(row) for row in rows]


def use_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log, once per file. SQLite does not wait here for another opener."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether it is only that somebody else uses the file, which passes."""
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _entry(row: tuple[Any, ...]) -> Entry:
    task_id, task, queue, digest, stored, *rest = row
    message = json.loads(stored) if stored else {}
    entry = Entry(task_id, task, queue, digest, message, *rest)
    token = message.get("headers", {}).get(ACCEPTED_HEADER)
    return replace(entry, token=token) if isinstance(token, str) else entry
