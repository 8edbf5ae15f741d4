"""Objects: raw answers and texts, kept as bytes under a key.

`Objects` is what any store offers; `files.FileObjects` keeps them in a folder, `s3.S3Objects` in a
bucket of an S3 server.
"""

from typing import Protocol

from menos_vault.models import Health


class Objects(Protocol):
    """A store of bytes. Thread-safe; a put is whole or not there, and survives a crash.

    Every method may raise InvalidKey (no clean relative path), ObjectsUnavailable (disk full,
    server down: try again) and ObjectsRefused (a setting is wrong).
    """

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, in place of what was there."""

    def get(self, key: str) -> bytes:
        """Return what is stored under `key`. Raises ObjectNotFound."""
        ...

    def exists(self, key: str) -> bool:
        """Say whether something is stored under `key`."""
        ...

    def delete(self, key: str) -> None:
        """Remove what is stored under `key`; nothing happens when there is nothing."""

    def keys(self, folder: str) -> list[str]:
        """Return the keys of all objects below a folder, which is what they begin with and a slash.

        None are below a folder that is not there.
        """
        ...

    def link(self, key: str, seconds: int) -> str | None:
        """Return a URL that anybody may read the object with for so long, or None without URLs.

        It is not looked whether there is such an object. Raises InvalidContent if `seconds` is not
        1 to 604,800 (a week).
        """
        ...

    def health(self) -> Health:
        """Look whether the store works; never raises, stores nothing."""
        ...
