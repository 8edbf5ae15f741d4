"""The header ``Idempotency-Key`` of both HTTP doors."""

from __future__ import annotations

from typing import Any, Final

from menos_bus.errors import FieldProblem, InvalidCall

KEY_HEADER: Final = "Idempotency-Key"


def take_key(key: str | None, arguments: dict[str, Any]) -> None:
    """Make the header the reserved argument that it stands for.

    Args:
        key: the header's value, if it is there.
        arguments: the call's keyword arguments; gets ``idempotency_key``.

    Raises:
        InvalidCall: header and body give different keys.
    """
    if key is None:
        return
    if arguments.get("idempotency_key") is None:
        arguments["idempotency_key"] = key
    if arguments["idempotency_key"] != key:
        reason = "differs from the idempotency_key in the body: give one of the two"
        raise InvalidCall([FieldProblem(KEY_HEADER, reason)])
