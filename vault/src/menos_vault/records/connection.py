"""One connection to SurrealDB: opening, asking, telling errors apart, trying again."""

import asyncio
import atexit
import contextlib
import functools
import os
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from menos_vault.errors import (
    InvalidContent,
    RecordsConflict,
    RecordsFailed,
    RecordsLocked,
    RecordsUnavailable,
    VaultClosed,
    VaultError,
)
from menos_vault.records.answers import Ask, Conflict, Lost, Replaced, Stranger, checked
from menos_vault.records.loop import LoopThread
from menos_vault.records.migrations import migrate
from menos_vault.settings import VaultSettings

T = TypeVar("T")

_SHORTEST_WAIT = 0.005  # seconds before the second try of a conflicting transaction
_LONGEST_WAIT = 0.5


class Connection:
    """A connection with its event loop; safe to use from many threads."""

    def __init__(
        self, settings: VaultSettings, prepare: Callable[[Ask], Awaitable[None]] = migrate
    ) -> None:
        """Open the database and `prepare` its tables, as also whenever it is found to be another.

        Raises RecordsLocked, RecordsUnavailable, RecordsFailed.
        """
        self._settings = settings
        self._prepare = prepare
        self._process = os.getpid()
        self._closed = False
        self._gate = threading.Lock()  # between the last call and close()
        self._client: Any = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._joining = asyncio.Lock()
        if settings.records_folder is not None:
            _make_folder(settings.records_folder)
        self._thread = LoopThread("menos-vault-records")
        _open_connections.add(self)
        try:
            self._run(self._join)
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

    async def _join(self) -> None:
        """Connect, sign in, choose the database, see to its tables."""
        from surrealdb import AsyncSurreal

        settings = self._settings
        client: Any = None
        try:
            client = AsyncSurreal(settings.url)
            await client.connect()
            if settings.username:
                password = settings.password.get_secret_value()
                await client.signin({"username": settings.username, "password": password})
            await client.use(settings.namespace, settings.database)
            await self._prepare(functools.partial(self._ask_client, client))
        except BaseException as error:  # the client raises classes of many libraries
            if client is not None:
                with contextlib.suppress(Exception):
                    await client.close()
            if isinstance(error, Lost):
                raise self._explain_lost(error) from error
            if isinstance(error, Exception) and not isinstance(error, VaultError):
                raise self._explain_opening(error) from error
            raise
        self._client = client  # not before: other calls would go to it unsigned

    async def _join_again(self, lost: Any) -> None:
        """Replace a client that lost its server, unless another call has done so.

        The client connects again by itself, but signs in nowhere, so it is not used any more.
        """
        async with self._joining:
            if self._client is lost:
                with contextlib.suppress(Exception):
                    await lost.close()
                await self._join()

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
        """Ask; if a server has lost us, or its tables, join it anew and ask once more."""
        client = self._client
        try:
            return await self._ask_client(client, statements, variables)
        except Lost as lost:
            if self._settings.embedded:
                raise self._explain_lost(lost) from lost
        # What is asked may be asked twice, should the server have done it already.
        await self._join_again(client)
        try:
            return await self._ask_client(self._client, statements, variables)
        except Lost as lost:
            raise self._explain_lost(lost) from lost

    async def _ask_client(
        self, client: Any, statements: str, variables: dict[str, Any]
    ) -> list[Any]:
        """Ask until no other writer is in the way."""
        deadline = asyncio.get_running_loop().time() + self._settings.timeout * 0.9
        wait = _SHORTEST_WAIT
        while True:
            try:
                return await self._ask_once(client, statements, variables)
            except Conflict as conflict:
                if asyncio.get_running_loop().time() + wait > deadline:
                    raise RecordsConflict(
                        f"other writers kept changing the same records: {conflict}; try again later"
                    ) from None
            # Full jitter, so that those who met do not meet again.
            await asyncio.sleep(random.uniform(0, wait))  # noqa: S311 - no secret
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _ask_once(self, client: Any, statements: str, variables: dict[str, Any]) -> list[Any]:
        from surrealdb.errors import ConnectionUnavailableError, SurrealError

        try:
            answer = await client.query_raw(statements, variables)
        except (ConnectionUnavailableError, OSError) as error:
            raise Lost(error) from error
        except SurrealError as error:
            raise self._unavailable(error) from error
        except (ValueError, TypeError, OverflowError) as error:
            # From the encoder: integers beyond 64 bits, lone surrogates, foreign types.
            raise InvalidContent(f"the database cannot hold this value: {error}") from error
        return checked(answer)

    def _explain_lost(self, lost: Lost) -> RecordsFailed | RecordsUnavailable:
        url = self._settings.url
        if isinstance(lost, Stranger):
            return RecordsFailed(
                f"the database at {url} refused: {lost}; check what the user "
                "MENOS_VAULT_USERNAME may do"
            )
        if isinstance(lost, Replaced):
            return RecordsFailed(
                f"some tables of the database at {url} were removed: {lost}; restore it from a "
                "backup, or remove the whole database to begin anew with an empty one"
            )
        return self._unavailable(lost)

    def _unavailable(self, error: Exception) -> RecordsUnavailable:
        return RecordsUnavailable(
            f"the database at {self._settings.url} failed: {error}; try again"
        )

    def _explain_opening(self, error: Exception) -> RecordsLocked | RecordsUnavailable:
        folder = self._settings.records_folder
        if "already locked" in str(error):
            return RecordsLocked(
                f"the records in {folder} are open in another process (or in another vault of this "
                "one); stop it first, or set MENOS_HOME to another folder"
            )
        if folder is not None:
            place, fix = str(folder), "check the folder's permissions and the free disk space"
        else:
            place = self._settings.url
            fix = (
                "see that the server runs, and check MENOS_VAULT_URL, MENOS_VAULT_USERNAME and "
                "MENOS_VAULT_PASSWORD"
            )
        return RecordsUnavailable(f"cannot open the records at {place}: {error}; {fix}")


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
