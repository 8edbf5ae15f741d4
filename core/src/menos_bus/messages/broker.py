"""A connection to the broker, and what to say when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kombu.exceptions import KombuError

from menos_bus.errors import BusUnavailable

CONNECT_SECONDS: Final = 5.0
"""How long a broker may take to answer, unless somebody waits for less."""


@contextmanager
def connected(app: Any, seconds: float = CONNECT_SECONDS) -> Iterator[Any]:
    """A connection of its own, for as long as the block runs.

    Args:
        app: the bus's application.
        seconds: how long the broker may take to answer.

    Raises:
        BusUnavailable: the broker does not answer, or not any more, or refuses the login.
    """
    with app.connection_for_write(connect_timeout=seconds) as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=seconds)
            yield connection
        except connection.channel_errors as error:
            raise BusUnavailable(f"the broker {connection.as_uri()} refuses: {error}") from error
        except (KombuError, OSError, *connection.connection_errors) as error:
            raise BusUnavailable(
                f"the broker {connection.as_uri()} does not answer: {error}"
            ) from error
