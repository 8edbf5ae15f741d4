"""What an HTTP door answers when something goes wrong: the same words at every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import redis
from kombu.exceptions import OperationalError

from menos_bus.errors import CallError, FieldProblem, InvalidCall, UnknownQuota, UnknownTaskId

RETRY_AFTER: Final = 10
"""Seconds after which a caller may try again when the bus is not available."""

_DOWN: Final = (redis.RedisError, OperationalError)
"""What a broker or a store that does not answer raises."""


@dataclass(frozen=True)
class Refusal:
    """An answer that is no success: HTTP status, stable code, text, and the wrong fields.

    ``allow`` is the header ``Allow`` of a 405: the methods that the path takes.
    """

    status: int
    code: str
    message: str
    fields: Sequence[FieldProblem] = ()
    allow: str = ""


INTERNAL: Final = Refusal(
    500, code="internal_error", message="the bus failed; its log has the cause"
)

MAX_BODY: Final = 32 * 1024**2
"""Bytes of a body: the longest text that a task takes (5,000,000 characters), escaped."""

TOO_LARGE: Final = Refusal(
    413, code="too_large", message=f"the body has more than {MAX_BODY // 1024**2} MiB"
)


def no_such_path(path: str, submit: str, docs: str) -> Refusal:
    """The answer at a path that the door does not have.

    Args:
        path: what was asked for.
        submit: how a call is submitted at this door, which is what most look for.
        docs: where all its paths are described.
    """
    said = f"there is no {path} here; a call is submitted with {submit}: see {docs}"
    return Refusal(404, code="not_found", message=said)


def wrong_method(method: str, path: str, allow: str, docs: str) -> Refusal:
    """The answer to a method that the path does not take, such as GET where POST is meant.

    Args:
        method: what was tried.
        path: where.
        allow: the methods that it takes, separated by commas.
        docs: where they are described.
    """
    said = f"{path} takes {allow}, not {method}: see {docs}"
    return Refusal(405, code="bad_request", message=said, allow=allow)


def refusal_of(error: BaseException | None) -> Refusal | None:
    """The answer to an error that is the call's or the network's, and not a defect of the bus."""
    if isinstance(error, InvalidCall):
        return Refusal(error.status, error.code, error.message, error.problems)
    if isinstance(error, CallError):
        return Refusal(error.status, error.code, error.message)
    if isinstance(error, (UnknownTaskId, UnknownQuota)):
        return Refusal(404, error.code, error.message)
    if isinstance(error, _DOWN):
        # Its text may name hosts and files, which are no caller's business.
        return Refusal(
            503, code="unavailable", message="the broker or the result store does not answer now"
        )
    return None
