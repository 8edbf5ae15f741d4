"""From what people paste to the name by which YouTube finds a channel."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from menos_youtube.site_url import path_of, refused, split_site_url

_ID: Final = re.compile(r"UC[A-Za-z0-9_-]{22}")
# Letters and digits of any script, with '_', '-', '.' and the Catalan middle dot inside.
_HANDLE: Final = re.compile(r"@[\w.·-]{3,30}")
_USER: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_CUSTOM: Final = re.compile(r"[\w.·-]{1,100}")
_WANTED: Final = "the URL of a YouTube channel, its @handle, or its id, which begins with UC"


class ChannelName(NamedTuple):
    """How a channel was named.

    Attributes:
        kind: ``id`` (``UC…``), ``handle`` (``@…``), ``user`` (``/user/…``) or ``custom``
            (``/c/…``, which YouTube gives to nobody any more).
        value: the name itself; a handle with its ``@``.
    """

    kind: Literal["id", "handle", "user", "custom"]
    value: str


def parse_channel(url: str) -> ChannelName:
    """Return the channel that a URL, a bare id or a bare handle names.

    Forms: ``/channel/UC…``, ``/@handle``, ``/user/…``, ``/c/…``, each with any page of the channel
    behind it, such as ``/videos``.

    Raises:
        Permanent: code ``invalid_url``; says what is wrong with the field ``url``.
    """
    text = url.strip()
    if text.startswith("@"):
        return _checked("handle", text)
    if _ID.fullmatch(text):
        return ChannelName("id", text)
    first, second = [*path_of(split_site_url(text, _WANTED)), "", ""][:2]
    if first.startswith("@"):
        return _checked("handle", first)
    if first == "channel" and second:
        return _checked("id", second)
    if first == "user" and second:
        return _checked("user", second)
    if first == "c" and second:
        return _checked("custom", second)
    raise refused(f"this page of YouTube is no channel: give {_WANTED}")


def _checked(kind: Literal["id", "handle", "user", "custom"], value: str) -> ChannelName:
    form, told = {
        "id": (_ID, "a channel id is UC and 22 more characters"),
        "handle": (_HANDLE, "a handle is @ and 3 to 30 letters, digits, '_', '-' and '.'"),
        "user": (_USER, "a user name has letters, digits, '_' and '-'"),
        "custom": (_CUSTOM, "a channel's name has letters, digits, '_', '-' and '.'"),
    }[kind]
    if not form.fullmatch(value):
        raise refused(f"{value[:60]!r} names no channel: {told}")
    return ChannelName(kind, value)
