"""A connection to the broker, and what to say when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from amqp.exceptions import AccessRefused
from kombu.exceptions import KombuError

from menos_bus.errors import BusUnavailable, LoginRefused

CONNECT_SECONDS: Final = 5.0
"""How long a broker may take to answer, unless somebody waits for less."""


@contextmanager
def connected(app: Any, seconds: float = CONNECT_SECONDS) -> Iterator[Any]:
    """A connection of its own, for as long as the block runs.

    Args:
        app: the bus's application.
        seconds: how long the broker may take to answer.

    Raises:
        LoginRefused: the broker wants another user or password.
        BusUnavailable: it does not answer, or not any more, or refuses what is done in the block.
    """
    with app.connection_for_write(connect_timeout=seconds) as connection:
        try:
            _connect(connection, seconds)
            yield connection
        except connection.channel_errors as error:
            raise BusUnavailable(f"the broker {connection.as_uri()} refuses: {error}") from error
        except (KombuError, OSError, *connection.connection_errors) as error:
            raise BusUnavailable(
                f"the broker {connection.as_uri()} does not answer: {error}"
            ) from error


def _connect(connection: Any, seconds: float) -> None:
    try:
        connection.ensure_connection(max_retries=1, timeout=seconds)
    except AccessRefused as error:
        raise LoginRefused(
            f"the broker {connection.as_uri()} refuses: {error}; correct user and password in "
            "MENOS_BROKER_URL"
        ) from error
