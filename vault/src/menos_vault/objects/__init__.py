"""Objects: raw answers and texts, kept as bytes under a key.

`Objects` is what any store offers; `files.FileObjects` keeps them in a folder.
"""

from typing import Protocol


class Objects(Protocol):
    """A store of bytes. Thread-safe; a put is whole or not there, and survives a crash."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, in place of what was there.

        Raises InvalidKey (no clean relative path) and ObjectsUnavailable (disk full …).
        """

    def get(self, key: str) -> bytes:
        """Return what is stored under `key`.

        Raises ObjectNotFound, InvalidKey and ObjectsUnavailable.
        """
        ...

    def exists(self, key: str) -> bool:
        """Say whether something is stored under `key`. Raises InvalidKey."""
        ...

    def delete(self, key: str) -> None:
        """Remove what is stored under `key`; nothing happens when there is nothing.

        Raises InvalidKey and ObjectsUnavailable.
        """
