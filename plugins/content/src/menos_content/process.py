"""Running operations on a content, each on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from typing_extensions import TypedDict

from menos_bus import Deferred, Retryable, TaskError
from menos_content.document import Document, read_document
from menos_content.operations import Operation
from menos_content.room import Room
from menos_content.store import STORED
from menos_vault import Content, ContentChanged, ContentNotFound, Vault, VaultError

PROCESSED: Final = "processed"
FAILED: Final = "failed"

Outcome = Literal["completed", "skipped", "failed"]


class OperationError(TypedDict):
    """Why an operation failed."""

    code: str
    message: str


Outcomes = dict[str, Outcome | dict[str, OperationError]]
"""Operation → how it ended; under ``errors``, only if there are any, operation → why it failed."""


def process(vault: Vault, document: Document, operations: Sequence[Operation]) -> Outcomes:
    """Run operations on a content: one that fails does not keep the others back.

    The content's status says whether it can be found, and its error which operations failed.

    Raises:
        ContentNotFound: it was deleted meanwhile.
        Retryable: its text was changed meanwhile (``content_changed``).
        Exception: what an operation failed with, if another try may help or all of them failed.
            What was completed is skipped by the next try.
    """
    from celery.exceptions import SoftTimeLimitExceeded

    outcomes: dict[str, Outcome] = {}
    errors: dict[str, Exception] = {}
    for operation in operations:
        try:
            done = operation.run(vault, document)
            outcomes[operation.name] = "skipped" if done is False else "completed"
        except (Deferred, SoftTimeLimitExceeded):
            raise  # it waits, or has no time left
        except Exception as error:  # noqa: BLE001 - also one that its author did not think of
            outcomes[operation.name] = "failed"
            errors[operation.name] = error
    if errors:
        passing = [error for error in errors.values() if _may_pass(error)]
        first = next(iter(passing or errors.values()))
        # One that failed takes nothing from what is there to be found.
        status = PROCESSED if _has_passages(vault, document) else FAILED
        said = "; ".join(f"{name}: {error}" for name, error in errors.items())
        _conclude(vault, document, status, said)
        if passing or len(errors) == len(outcomes):
            raise first
        return {**outcomes, "errors": {name: _explained(e) for name, e in errors.items()}}
    _conclude(vault, document, PROCESSED, None)
    return {**outcomes}


class Failed(TypedDict):
    """An operation on one of many contents that failed for good."""

    content_id: str
    code: str
    message: str


def process_one_of_many(
    vault: Vault, content: Content, operations: Sequence[Operation], room: Room
) -> list[Failed]:
    """Run operations on a content once there is room for its text.

    Returns what failed for good, in the place of an error; of a content that was deleted meanwhile
    nothing.

    Raises:
        TaskError, VaultError: an operation failed, and another try may help.
    """
    try:
        document = read_document(vault, content)
        with room.taken(len(document.text)):
            outcomes = process(vault, document, operations)
    except ContentNotFound:
        return []
    except (TaskError, VaultError) as error:
        if error.retryable:
            raise
        return [{"content_id": content.id, "code": error.code, "message": str(error)}]
    errors = outcomes.get("errors", {})
    assert isinstance(errors, dict)
    return [{"content_id": content.id, **error} for error in errors.values()]


def _has_passages(vault: Vault, document: Document) -> bool:
    """Whether the passages of this very text are in the vault."""
    known = vault.records.chunk_set(document.content.id)
    return known is not None and known.fingerprint == document.fingerprint


def _conclude(vault: Vault, document: Document, status: str, error: str | None) -> None:
    """Note how it ended, unless there is another text by now."""
    seen = document.content
    while not _noted(vault, seen, status, error):
        now = read_document(vault, vault.records.get_content(seen.id))
        if now.fingerprint != document.fingerprint:
            break
        seen = now.content
    else:
        return
    # What was made of the old text is marked as such, so the next try makes it again.
    vault.records.update_content(seen.id, status=STORED, error=None)
    raise Retryable(
        f"the text of content {seen.id} was changed while it was processed",
        code="content_changed",
        after=1,
    )


def _noted(vault: Vault, seen: Content, status: str, error: str | None) -> bool:
    """Note it in a record that nobody has written since, as who stores a text does."""
    if (seen.status, seen.error) == (status, error):
        return vault.records.get_content(seen.id).updated_at == seen.updated_at
    try:
        vault.records.update_content(
            seen.id, unchanged_since=seen.updated_at, status=status, error=error
        )
    except ContentChanged:
        return False
    return True


def _may_pass(error: Exception) -> bool:
    """Whether another try may help; as for any task, that is so of what nobody thought of."""
    return error.retryable if isinstance(error, (TaskError, VaultError)) else True


def _explained(error: Exception) -> OperationError:
    code = error.code if isinstance(error, (TaskError, VaultError)) else "internal_error"
    return {"code": code, "message": str(error)}
