"""Who may come in: the logins of the doors, from the settings, or made once and kept.

Two roles: a *caller* (what a workflow tool gets) may submit calls and read results; the *operator*
may also see Flower's pages and control workers.
"""

from __future__ import annotations

import binascii
import hmac
import json
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from filelock import FileLock
from pydantic import SecretStr

from menos_bus.doors.private_file import write_private
from menos_bus.errors import SettingsError
from menos_bus.settings import BusSettings

FILE: Final = "credentials.json"
_LOCK: Final = "credentials.lock"

REALM: Final = "menos-bus"
UNAUTHORIZED: Final = "user or password is missing or wrong"
FORBIDDEN: Final = (
    "a caller may submit calls and read their results; this needs the operator's login"
)


class Role(StrEnum):
    """What a login may do."""

    OPERATOR = "operator"
    CALLER = "caller"


@dataclass(frozen=True)
class Credentials:
    """What somebody needs besides the URL."""

    user: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header with these."""
        return f"Basic {b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


@dataclass(frozen=True)
class Logins:
    """The two logins of a bus."""

    operator: Credentials
    caller: Credentials

    def role_of(self, authorization: str | None) -> Role | None:
        """The role that an ``Authorization`` header proves, or ``None``.

        ``Basic`` with user and password, or ``Bearer`` with the password alone. How long it takes
        does not depend on how much of a password is right.
        """
        scheme, _, given = (authorization or "").strip().partition(" ")
        given = given.strip()
        if scheme.lower() == "basic":
            try:
                secret = b64decode(given, validate=True)
            except (binascii.Error, ValueError):
                return None
            known = {role: f"{login.user}:{login.password}" for role, login in self._all}
        elif scheme.lower() == "bearer":
            secret = given.encode("utf-8", "surrogateescape")
            known = {role: login.password for role, login in self._all}
        else:
            return None
        # As bytes: compare_digest takes no text beyond ASCII. And both, whichever fits.
        fits = [role for role, text in known.items() if hmac.compare_digest(text.encode(), secret)]
        return fits[0] if fits else None

    @property
    def _all(self) -> tuple[tuple[Role, Credentials], ...]:
        return (Role.OPERATOR, self.operator), (Role.CALLER, self.caller)


def logins(settings: BusSettings) -> Logins:
    """The logins of this bus; the same ones at every start.

    Raises:
        SettingsError: the stored file cannot be read, or the two logins are not different; says
            what to do.
    """
    stored: dict[str, str] = {}
    if settings.flower_password is None or settings.caller_password is None:
        stored = _stored(settings)
    found = Logins(
        Credentials(settings.flower_user, _or(settings.flower_password, stored, "password")),
        Credentials(settings.caller_user, _or(settings.caller_password, stored, "caller_password")),
    )
    if found.operator.user == found.caller.user:
        raise SettingsError(
            f"MENOS_FLOWER_USER and MENOS_CALLER_USER are both {found.caller.user!r}: the operator "
            "and the callers need a name each"
        )
    if found.operator.password == found.caller.password:
        raise SettingsError(
            "the operator (MENOS_FLOWER_PASSWORD) and the callers (MENOS_CALLER_PASSWORD) have the "
            "same password, so every caller could shut workers down: give them different ones"
        )
    return found


def _or(given: SecretStr | None, stored: dict[str, str], name: str) -> str:
    return stored[name] if given is None else given.get_secret_value()


def _stored(settings: BusSettings) -> dict[str, str]:
    """What the file holds: ``password`` and ``caller_password``, made when they are not there."""
    path = settings.make_home() / FILE
    # A Flower and an API that start at the same moment must end up with the same passwords.
    with FileLock(settings.home / _LOCK, mode=0o600):
        stored = _read(path) if path.exists() else {"password": secrets.token_urlsafe(18)}
        if "caller_password" not in stored:
            stored["caller_password"] = secrets.token_urlsafe(18)
            write_private(path, json.dumps(stored) + "\n")
        path.chmod(0o600)
    return stored


def _read(path: Path) -> dict[str, str]:
    try:
        stored = json.loads(path.read_text())
        for name in ("password", *({"caller_password"} & stored.keys())):
            if not isinstance(stored[name], str) or not stored[name]:
                raise ValueError(f"{name} is not a text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{path} holds no readable password ({error}): delete it to get new ones, or set "
            "MENOS_FLOWER_PASSWORD and MENOS_CALLER_PASSWORD"
        ) from error
    return dict(stored)
