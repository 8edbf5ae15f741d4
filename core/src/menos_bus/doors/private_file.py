"""Files in the data folder that are for their owner's eyes only, since passwords are in them."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file: unreadable for others from the start, and put in place whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    written = path.with_suffix(".new")
    written.unlink(missing_ok=True)
    handle = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    written.replace(path)
