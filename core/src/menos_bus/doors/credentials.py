"""User and password of the doors: from the settings, or made once and kept in the data folder."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from menos_bus.errors import SettingsError
from menos_bus.settings import BusSettings

FILE: Final = "credentials.json"


@dataclass(frozen=True)
class Credentials:
    """What a caller needs besides the URL."""

    user: str
    password: str = field(repr=False)


def credentials(settings: BusSettings) -> Credentials:
    """The credentials of this bus; the same ones at every start.

    Raises:
        SettingsError: the stored file cannot be read; says what to do.
    """
    if settings.flower_password is not None:
        return Credentials(settings.flower_user, settings.flower_password.get_secret_value())
    path = settings.home / FILE
    if not path.exists():
        settings.make_home()
        _write_private(path, json.dumps({"password": secrets.token_urlsafe(18)}) + "\n")
    try:
        password = json.loads(path.read_text())["password"]
        if not isinstance(password, str) or not password:
            raise ValueError("the password is not a text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} holds no readable password ({error}): delete it to get a new one, or set "
            "MENOS_FLOWER_PASSWORD"
        ) from error
    path.chmod(0o600)
    return Credentials(settings.flower_user, password)


def _write_private(path: Path, text: str) -> None:
    # Made unreadable for others from the start, and never over one that another process made.
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write(text)
