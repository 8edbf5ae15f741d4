"""One connection to SurrealDB: opening, asking, telling errors apart, trying again."""

import asyncio
import atexit
import contextlib
import os
import random
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from menos_vault.errors import (
    InvalidContent,
    RecordsConflict,
    RecordsFailed,
    RecordsLocked,
    RecordsUnavailable,
    VaultClosed,
)
from menos_vault.records.loop import LoopThread
from menos_vault.records.migrations import migrate
from menos_vault.settings import VaultSettings

T = TypeVar("T")

_SHORTEST_WAIT = 0.005  # seconds before the second try of a conflicting transaction
_LONGEST_WAIT = 0.5


class Conflict(Exception):
    """Other writers were faster; the same transaction may be tried again."""


class Connection:
    """A connection with its event loop; safe to use from many threads."""

    def __init__(self, settings: VaultSettings) -> None:
        """Open the database and define its tables.

        Raises RecordsLocked, RecordsUnavailable.
        """
        self._settings = settings
        self._process = os.getpid()
        self._closed = False
        self._gate = threading.Lock()  # between the last call and close()
        self._client: Any = None
        self._calls: set[asyncio.Task[Any]] = set()
        if settings.records_folder is not None:
            _make_folder(settings.records_folder)
        self._thread = LoopThread("menos-vault-records")
        _open_connections.add(self)
        try:
            self._run(self._open)
        except BaseException:
            self.close()
            raise

    def ask(self, statements: str, **variables: Any) -> list[Any]:
        """Run statements and return one result per statement (BEGIN and COMMIT may count).

        Each statement's status is checked. A transaction that met another one is tried again, with
        growing random pauses, until the time is up. Raises the Records… errors and InvalidContent.
        """
        return self._run(self._call, statements, variables)

    def close(self) -> None:
        """Let running calls finish, close the database, end the thread. Twice is fine."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        _open_connections.discard(self)
        if self._process != os.getpid():
            return  # a fork's copy: its thread and its engine live in the parent only
        with contextlib.suppress(Exception):
            self._thread.wait(self._thread.start(self._shut()), self._settings.timeout)
        self._thread.stop()
        self._client = None

    def _run(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        with self._gate:
            if self._closed:
                raise VaultClosed("the vault was closed; open it again")
            future = self._thread.start(work(*arguments))
        try:
            return self._thread.wait(future, self._settings.timeout)
        except TimeoutError:
            raise RecordsUnavailable(
                f"the database at {self._settings.url} did not answer within "
                f"{self._settings.timeout:g} s; try again, or raise MENOS_VAULT_TIMEOUT"
            ) from None

    async def _open(self) -> None:
        from surrealdb import AsyncSurreal

        settings = self._settings
        try:
            client: Any = AsyncSurreal(settings.url)
            self._client = client
            await client.connect()
            if settings.username:
                password = settings.password.get_secret_value()
                await client.signin({"username": settings.username, "password": password})
            await client.use(settings.namespace, settings.database)
        except Exception as error:  # the client raises classes of many libraries
            raise self._explain_opening(error) from error
        await migrate(self._ask)

    async def _shut(self) -> None:
        # Not all tasks of the loop: the client of a server has one that reads for ever.
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _call(self, statements: str, variables: dict[str, Any]) -> list[Any]:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            return await self._ask(statements, variables)
        finally:
            self._calls.discard(task)

    async def _ask(self, statements: str, variables: dict[str, Any]) -> list[Any]:
        deadline = asyncio.get_running_loop().time() + self._settings.timeout * 0.9
        wait = _SHORTEST_WAIT
        while True:
            try:
                return await self._ask_once(statements, variables)
            except Conflict as conflict:
                if asyncio.get_running_loop().time() + wait > deadline:
                    raise RecordsConflict(
                        f"other writers kept changing the same records: {conflict}; try again later"
                    ) from None
            # Full jitter, so that those who met do not meet again.
            await asyncio.sleep(random.uniform(0, wait))  # noqa: S311 - no secret
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _ask_once(self, statements: str, variables: dict[str, Any]) -> list[Any]:
        from surrealdb.errors import SurrealError

        try:
            answer = await self._client.query_raw(statements, variables)
        except (SurrealError, OSError) as error:
            raise RecordsUnavailable(
                f"the database at {self._settings.url} failed: {error}; try again"
            ) from error
        except (ValueError, TypeError, OverflowError) as error:
            # From the encoder: integers beyond 64 bits, lone surrogates, foreign types.
            raise InvalidContent(f"the database cannot hold this value: {error}") from error
        return checked(answer)

    def _explain_opening(self, error: Exception) -> RecordsLocked | RecordsUnavailable:
        folder = self._settings.records_folder
        if "already locked" in str(error):
            return RecordsLocked(
                f"the records in {folder} are open in another process (or in another vault of this "
                "one); stop it first, or set MENOS_HOME to another folder"
            )
        place = folder if folder is not None else self._settings.url
        return RecordsUnavailable(
            f"cannot open the records at {place}: {error}; check MENOS_VAULT_URL, the folder's "
            "permissions and the free disk space"
        )


def checked(answer: dict[str, Any]) -> list[Any]:
    """Return each statement's result of a `query_raw` answer.

    Raises Conflict if it is worth another try at once, RecordsUnavailable if the disk is full, else
    RecordsFailed with the statement that is to blame, not with those skipped because of it.
    """
    if "error" in answer:  # not even begun, for example a syntax error
        error = answer["error"]
        message = error.get("message", error) if isinstance(error, dict) else error
        raise RecordsFailed(f"the database refused the statements: {message}")
    failures = [part for part in answer["result"] if part["status"] != "OK"]
    if not failures:
        return [part["result"] for part in answer["result"]]
    messages = [str(part["result"]) for part in failures]
    if any("can be retried" in message for message in messages):
        raise Conflict(next(message for message in messages if "can be retried" in message))
    blame = [message for message in messages if not _skipped(message)]
    if full := next((message for message in messages if "No space left" in message), None):
        raise RecordsUnavailable(
            f"the database has no space left on its disk: {full}; free some, then try again"
        )
    raise RecordsFailed(f"the database refused a statement: {(blame or messages)[0]}")


def _skipped(message: str) -> bool:
    """Say whether a failure is only the echo of another one in the same transaction."""
    return "was not executed due to" in message or message.startswith("Cannot COMMIT")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordsUnavailable(
            f"cannot make the folder {folder} for the records: {error.strerror}; "
            "check its permissions, or set MENOS_HOME to another folder"
        ) from error


# Strong: one that everybody has let go of would else be there, unclosed, at the end.
_open_connections: set[Connection] = set()


def _close_all() -> None:
    """Close what was forgotten, while the interpreter still works: see `LoopThread.stop`."""
    for connection in list(_open_connections):
        connection.close()


atexit.register(_close_all)
