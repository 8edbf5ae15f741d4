"""Running operations on a content, each on its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, Literal, NamedTuple

from typing_extensions import TypedDict

from menos_bus import Deferred, Retryable, TaskError
from menos_content.document import Document, read_document
from menos_content.operations import Operation
from menos_content.room import Room
from menos_content.store import STORED
from menos_vault import Content, ContentNotFound, Vault, VaultError

PROCESSED: Final = "processed"
FAILED: Final = "failed"

Outcome = Literal["completed", "skipped", "failed"]


class OperationError(TypedDict):
    """Why an operation failed."""

    code: str
    message: str


Outcomes = dict[str, Outcome | dict[str, OperationError]]
"""Operation → how it ended; under ``errors``, only if there are any, operation → why it failed."""


class Failed(TypedDict):
    """An operation on one of many contents that failed for good."""

    content_id: str
    code: str
    message: str


class _Ended(NamedTuple):
    """How operations on a content ended, and how it stands after that."""

    document: Document
    outcomes: dict[str, Outcome]
    errors: dict[str, Exception]
    status: str

    @property
    def said(self) -> str | None:
        """What the record says of operations that failed."""
        return "; ".join(f"{name}: {error}" for name, error in self.errors.items()) or None

    @property
    def raised(self) -> Exception | None:
        """What is raised: an error that another try may help against, or the only outcome."""
        passing = [error for error in self.errors.values() if _may_pass(error)]
        if passing or len(self.errors) == len(self.outcomes):
            return next(iter(passing or self.errors.values()), None)
        return None


def process(vault: Vault, document: Document, operations: Sequence[Operation]) -> Outcomes:
    """Run operations on a content: one that fails does not keep the others back.

    The content's status says whether it can be found, and its error which operations failed.

    Raises:
        ContentNotFound: it was deleted meanwhile.
        Retryable: its text was changed meanwhile (``content_changed``).
        Exception: what an operation failed with, if another try may help or all of them failed.
            What was completed is skipped by the next try.
    """
    ended = _run(vault, document, operations)
    _conclude(vault, ended)
    if ended.raised is not None:
        raise ended.raised
    if not ended.errors:
        return {**ended.outcomes}
    errors = {name: _explained(error) for name, error in ended.errors.items()}
    return {**ended.outcomes, "errors": errors}


def process_many(
    vault: Vault, contents: Sequence[Content], operations: Sequence[Operation], room: Room
) -> Iterator[list[Failed]]:
    """Run operations on contents, one after another, each once there is room for its text.

    It yields of each what failed for good: nothing if it was deleted meanwhile. How they stand is
    noted of all at once, in the end.

    Raises:
        Deferred: the room was closed.
        Retryable: a text was changed meanwhile (``content_changed``).
        TaskError, VaultError: an operation failed, and another try may help.
    """
    known = vault.records.chunk_sets([content.id for content in contents])
    done: list[_Ended] = []
    try:
        for content in contents:
            try:
                document = read_document(vault, content, known)
            except (TaskError, VaultError) as error:
                if _may_pass(error):
                    raise
                yield [{"content_id": content.id, **_explained(error)}]
                continue
            with room.taken(len(document.text)):
                ended = _run(vault, document, operations)
            if any(isinstance(error, ContentNotFound) for error in ended.errors.values()):
                yield []
                continue
            done.append(ended)
            passing = filter(_may_pass, ended.errors.values())
            if (failure := next(passing, None)) is not None:
                raise failure
            yield [{"content_id": content.id, **_explained(one)} for one in ended.errors.values()]
    finally:
        well = [ended.document.content for ended in done if not ended.errors]
        noted = vault.records.set_status(well, PROCESSED)
        for ended in done:
            if ended.document.content.id not in noted:
                with suppress(ContentNotFound):
                    _conclude(vault, ended)


def _run(vault: Vault, document: Document, operations: Sequence[Operation]) -> _Ended:
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
    # One that failed takes nothing from what is there to be found.
    findable = not errors or _has_passages(vault, document)
    return _Ended(document, outcomes, errors, PROCESSED if findable else FAILED)


def _has_passages(vault: Vault, document: Document) -> bool:
    """Whether the passages of this very text are in the vault."""
    known = vault.records.chunk_set(document.content.id)
    return known is not None and known.fingerprint == document.fingerprint


def _conclude(vault: Vault, ended: _Ended) -> None:
    """Note how a content stands, unless there is another text by now.

    Raises:
        ContentNotFound: it was deleted meanwhile.
        Retryable: its text was changed meanwhile (``content_changed``).
    """
    seen = ended.document.content
    while not vault.records.set_status([seen], ended.status, ended.said):
        now = read_document(vault, vault.records.get_content(seen.id))
        if now.fingerprint != ended.document.fingerprint:
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


def _may_pass(error: Exception) -> bool:
    """Whether another try may help; as for any task, that is so of what nobody thought of."""
    return error.retryable if isinstance(error, (TaskError, VaultError)) else True


def _explained(error: Exception) -> OperationError:
    code = error.code if isinstance(error, (TaskError, VaultError)) else "internal_error"
    return {"code": code, "message": str(error)}
