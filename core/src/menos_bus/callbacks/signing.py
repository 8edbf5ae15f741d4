"""The signature of a callback, by the Standard Webhooks specification.

The receiver verifies it with any library from https://www.standardwebhooks.com.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets as random_secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Final

_PREFIX: Final = "whsec_"
_SHORTEST, _LONGEST = 24, 64
"""Bytes of a secret."""
_EVENT_ID: Final = re.compile(r"[!-\-/-~]+")


def new_secret() -> str:
    """A new random secret, as :class:`Signer` and the receiver take it."""
    return _PREFIX + b64encode(random_secrets.token_bytes(32)).decode()


class Signer:
    """Signs callbacks.

    Args:
        secrets: each ``whsec_`` and base64, or base64 alone, of 24 to 64 bytes. More than one
            while the secret is being changed: a receiver that knows any of them is content.

    Raises:
        ValueError: there is none, or one is not like that; never shows it.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("at least one secret is needed to sign callbacks")
        self._keys = [_key(secret, place) for place, secret in enumerate(secrets, 1)]

    def headers(self, event_id: str, body: bytes, now: datetime | float) -> dict[str, str]:
        """The headers that prove where a callback comes from.

        Args:
            event_id: the same at every try of one callback.
            body: exactly the bytes that are sent.
            now: the time of this try; receivers refuse one that is minutes off.

        Raises:
            ValueError: the id has a dot or cannot stand in a header, or the time has no zone.
        """
        if not _EVENT_ID.fullmatch(event_id):
            raise ValueError("event id: must be printable ASCII without a dot or a space")
        timestamp = str(_seconds(now))
        signed = b".".join((event_id.encode(), timestamp.encode(), body))
        signatures = (hmac.digest(key, signed, hashlib.sha256) for key in self._keys)
        return {
            "webhook-id": event_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(f"v1,{b64encode(one).decode()}" for one in signatures),
        }


def _key(secret: str, place: int) -> bytes:
    text = secret.strip().removeprefix(_PREFIX)
    try:
        # Some tools leave the padding out.
        key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        # Raised outside of the handler: the error in there would show what it could not read.
        raise ValueError(
            f"secret {place}: must be {_PREFIX} followed by the base64 of {_SHORTEST} to "
            f"{_LONGEST} random bytes"
        )
    return key


def _seconds(now: datetime | float) -> int:
    if not isinstance(now, datetime):
        return math.floor(now)
    if now.tzinfo is None:
        raise ValueError("now: must have a time zone")
    return math.floor(now.timestamp())
