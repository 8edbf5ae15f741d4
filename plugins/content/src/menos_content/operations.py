"""The operations of ``tasks.process_content``, by name. One file each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from menos_bus import Retryable, TaskError
from menos_content.document import Document, read_document
from menos_content.embed import embed
from menos_content.summarize import summarize
from menos_vault import Vault, VaultError

Operation = Literal["embed", "summarize"]

OPERATIONS: Final[dict[Operation, Callable[[Vault, Document], None]]] = {
    "embed": embed,
    "summarize": summarize,
}
"""Each takes the vault and the document, stores what it makes, and may be repeated."""

PROCESSED: Final = "processed"
FAILED: Final = "failed"


def process(vault: Vault, content_id: str, names: Sequence[Operation]) -> None:
    """Run operations on a content, each on its own: one that fails does not keep the others back.

    Raises:
        ContentNotFound: there is no content with this id.
        Permanent: it has no text.
        Retryable: its text was changed meanwhile (``content_changed``).
        TaskError, VaultError: an operation failed; of several the first one's error, but one
            after which another try helps goes before one after which it does not.
    """
    document = read_document(vault, content_id)
    errors: list[TaskError | VaultError] = []
    for name in names:
        try:
            OPERATIONS[name](vault, document)
        except (TaskError, VaultError) as error:
            errors.append(error)
    if read_document(vault, content_id).text != document.text:
        raise Retryable(
            f"the text of content {content_id} was changed while it was processed",
            code="content_changed",
            after=1,
        )
    if errors:
        first = next((failed for failed in errors if failed.retryable), errors[0])
        vault.records.update_content(content_id, status=FAILED, error=str(first))
        raise first
    vault.records.update_content(content_id, status=PROCESSED, error=None)
