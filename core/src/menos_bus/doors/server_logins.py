"""Whether the broker and the result store take the logins of the settings, before a door opens."""

from __future__ import annotations

import logging

from menos_bus.bus import Bus
from menos_bus.errors import BusUnavailable, LoginRefused, SettingsError
from menos_bus.messages.broker import connected

logger = logging.getLogger(__name__)


def refuse_wrong_login(bus: Bus, *, broker: bool = False) -> None:
    """Do not start with a wrong password: it stays so, while a server that is away may come back.

    Args:
        bus: the bus.
        broker: whether to look at the broker, too; not for who connects to it at once.

    Raises:
        SettingsError: a login is refused; the message names the variable.
    """
    for look in (_ask_store, *([_ask_broker] if broker else [])):
        try:
            look(bus)
        except LoginRefused as error:
            raise SettingsError(error.message) from None
        except BusUnavailable as error:
            logger.warning("%s", error)


def _ask_store(bus: Bus) -> None:
    bus.app.ledger.find("login")


def _ask_broker(bus: Bus) -> None:
    with connected(bus.app):
        pass
