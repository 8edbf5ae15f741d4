"""How far an operation is, told as long as there is a content to do it for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from menos_bus import progress
from menos_content.document import Document
from menos_vault import ContentNotFound, Vault

OFTEN: Final = 1.0
"""Seconds between two looks for what tells many times a second, as embedding does."""


def progress_while_there(
    stage: str, vault: Vault, documents: Sequence[Document], *, every: float = 0.0
) -> Callable[[int, int], None]:
    """What tells how much of so much is done, and ends what would be done for nothing.

    What it returns raises ContentNotFound once one of the contents was deleted; it looks for that
    at most once in ``every`` seconds.
    """
    ids = [document.content.id for document in documents]
    looked = -math.inf

    def tell(done: int, total: int) -> None:
        nonlocal looked
        if time.monotonic() - looked >= every:
            there = vault.records.get_contents(ids)
            for identity in ids:
                if identity not in there:
                    raise ContentNotFound(identity)
            looked = time.monotonic()
        progress(stage, done, total)

    return tell
