"""What a setting may say of where a server or a bucket is."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from menos_vault.errors import InvalidKey
from menos_vault.objects.keys import check_key

# A bucket's name as all servers take it: labels with dots between them, and no IP address.
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_S3_PLACE: Final = re.compile(
    rf"s3://(?=[^/]{{3,63}}(?:/|$))(?!\d+\.\d+\.\d+\.\d+(?:/|$))({_LABEL}(?:\.{_LABEL})*)"
    r"(?:/+(.*?))?/*"
)
_HTTP: Final = re.compile(r"https?://[^/\s?#@]+(/[^\s?#]*)?")


class S3Place(NamedTuple):
    """Where objects are at an S3 server."""

    bucket: str
    prefix: str
    """What their keys begin with there, without a slash at its end; may be empty."""


def s3_place(url: str) -> S3Place:
    """Read `s3://bucket/prefix`. Raises ValueError that says what is wrong."""
    found = _S3_PLACE.fullmatch(url)
    if found is None:
        raise ValueError(
            "must be a folder or s3://bucket/prefix; a bucket's name has 3 to 63 lower-case "
            "letters, digits, dots and hyphens"
        )
    prefix = found[2] or ""
    if prefix:
        try:
            check_key(prefix)
        except InvalidKey as error:
            raise ValueError(f"its prefix is none: {error}") from None
    return S3Place(found[1], prefix)


def is_http(url: str, *, path: bool = True) -> bool:
    """Say whether this is a URL of a server, with or without a path on it."""
    found = _HTTP.fullmatch(url)
    if found is None or not (path or found[1] in (None, "/")):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # no such port
        return False
