"""How far an operation is, told as long as there is a content to do it for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from menos_bus import progress
from menos_content.document import Document
from menos_vault import ContentNotFound, Vault


def progress_while_there(
    stage: str, vault: Vault, documents: Sequence[Document]
) -> Callable[[int, int], None]:
    """What tells how much of so much is done, and ends what would be done for nothing.

    What it returns raises ContentNotFound once one of the contents was deleted.
    """
    ids = [document.content.id for document in documents]

    def tell(done: int, total: int) -> None:
        there = vault.records.get_contents(ids)
        for identity in ids:
            if identity not in there:
                raise ContentNotFound(identity)
        progress(stage, done, total)

    return tell
