"""Which keys an object may have: what fits every store, and leaves none of them."""

from pathlib import Path

from menos_vault.errors import InvalidKey

TEMPORARY = ".tmp"
"""First part of a key that no object has: half-written files live below it."""

_LONGEST_KEY = 1024  # bytes, what S3 takes
_LONGEST_PART = 255  # bytes, what common file systems take


def check_key(key: str) -> list[str]:
    """Return the parts of a key between its slashes. Raises InvalidKey with the reason."""
    parts = key.split("/")
    reason = ""
    if not key:
        reason = "it is empty"
    elif "\\" in key or any(ord(char) < 32 for char in key):
        reason = "it has a backslash or a control character"
    elif any(part in ("", ".", "..") for part in parts):
        reason = "each part between slashes must be a name, none of them '.' or '..'"
    elif parts[0] == TEMPORARY:
        reason = f"{TEMPORARY!r} is reserved"
    elif Path(key).drive or ":" in parts[0]:
        reason = "it names a drive"
    else:
        reason = _too_long(key, parts)
    if reason:
        raise InvalidKey(f"object key {key[:200]!r} is refused: {reason}; use e.g. 'youtube/x'")
    return parts


def _too_long(key: str, parts: list[str]) -> str:
    try:
        if len(key.encode()) > _LONGEST_KEY:
            return f"it is longer than {_LONGEST_KEY} bytes"
        if any(len(part.encode()) > _LONGEST_PART for part in parts):
            return f"a part of it is longer than {_LONGEST_PART} bytes"
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    return ""
