"""What the database's answers mean."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from menos_vault.errors import RecordsFailed, RecordsUnavailable
from menos_vault.records import schema

Ask = Callable[[str, dict[str, Any]], Awaitable[list[Any]]]
"""Runs statements with their variables and returns one result per statement."""

# What a server says when a session is over, or is a new one that nobody signed in to.
_STRANGER = (
    "session has expired",
    "token has expired",
    "Anonymous access not allowed",
    "Not enough permissions",
    "Specify a namespace to use",
    "Specify a database to use",
)
# Engine 3 says so of what is not defined; to engine 2 it is empty, hence the other sentence.
_NOT_DEFINED = re.compile(r"The (namespace|database|table) '.*' does not exist")


class Conflict(Exception):
    """Other writers were faster; the same transaction may be tried again."""


class Lost(Exception):
    """The connection to the server is gone."""


class Stranger(Lost):
    """The server does not know who we are any more."""


class Replaced(Lost):
    """The tables are not there, or not those of this version: the database is another one."""


def checked(answer: dict[str, Any]) -> list[Any]:
    """Return each statement's result of a `query_raw` answer.

    Raises Conflict if it is worth another try at once, Stranger if it is after signing in, Replaced
    if it is after making the tables, RecordsUnavailable if the disk is full, else RecordsFailed
    with the statement that is to blame, not with those skipped because of it.
    """
    if "error" in answer:  # not even begun, for example a syntax error
        error = answer["error"]
        message = error.get("message", error) if isinstance(error, dict) else error
        _raise_lost([str(message)])
        raise RecordsFailed(f"the database refused the statements: {message}")
    failures = [part for part in answer["result"] if part["status"] != "OK"]
    if not failures:
        return [part["result"] for part in answer["result"]]
    messages = [str(part["result"]) for part in failures]
    _raise_lost(messages)
    if any("can be retried" in message for message in messages):
        raise Conflict(next(message for message in messages if "can be retried" in message))
    blame = [message for message in messages if not _skipped(message)]
    if full := next((message for message in messages if "No space left" in message), None):
        raise RecordsUnavailable(
            f"the database has no space left on its disk: {full}; free some, then try again"
        )
    raise RecordsFailed(f"the database refused a statement: {(blame or messages)[0]}")


def lists(results: list[Any]) -> list[list[Any]]:
    """Return those results of a transaction that are lists, which leaves out BEGIN and COMMIT.

    They have results of their own in one of the engines.
    """
    return [result for result in results if isinstance(result, list)]


def _raise_lost(messages: list[str]) -> None:
    for message in messages:
        if any(sign in message for sign in _STRANGER):
            raise Stranger(message)
        if schema.OTHER_TABLES in message or _NOT_DEFINED.search(message):
            raise Replaced(message)


def _skipped(message: str) -> bool:
    """Say whether a failure is only the echo of another one in the same transaction."""
    return "was not executed due to" in message or message.startswith("Cannot COMMIT")
