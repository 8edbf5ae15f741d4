"""Running operations on a content, each on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import filterfalse
from typing import Final, Literal, NamedTuple, TypeVar

from typing_extensions import TypedDict

from menos_bus import Deferred, Permanent, Retryable, TaskError
from menos_content.document import Document, read_document
from menos_content.operations import GroupOperation, Operation
from menos_content.room import Room
from menos_content.store import STORED
from menos_vault import ChunkSet, Content, ContentNotFound, Vault, VaultError

PROCESSED: Final = "processed"
FAILED: Final = "failed"

_NEWER_TEXTS: Final = 5
"""Times that a content's text may change while it is processed."""

_TOGETHER: Final = 20_000
"""Characters of texts from which on they are enough to be processed together."""

T = TypeVar("T")
R = TypeVar("R")

_Result = bool | Exception | None

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
    """How operations on a content ended."""

    document: Document
    outcomes: dict[str, Outcome]
    errors: dict[str, Exception]

    def standing(self, seen: Content, passages: ChunkSet | None) -> tuple[str, str | None]:
        """How the content stands after that: its status and its error.

        Args:
            seen: its record; what it says of operations that were not run now still holds.
            passages: what is known of those that are in the vault.
        """
        lines = [line for line in (seen.error or "").splitlines() if self._still_holds(line)]
        lines += [f"{name}: {' '.join(str(error).split())}" for name, error in self.errors.items()]
        # One that failed takes nothing from what is there to be found.
        if passages is not None and passages.fingerprint == self.document.fingerprint:
            status = PROCESSED
        else:
            status = FAILED if lines else STORED
        return status, "\n".join(lines) or None

    def _still_holds(self, line: str) -> bool:
        name, mark, _ = line.partition(": ")
        return bool(mark) and name not in self.outcomes

    @property
    def passing(self) -> Exception | None:
        """An error that another try may help against."""
        return next(filter(_may_pass, self.errors.values()), None)

    @property
    def raised(self) -> Exception | None:
        """What is raised: an error that another try may help against, or the only outcome."""
        if len(self.errors) == len(self.outcomes):
            return self.passing or next(iter(self.errors.values()), None)
        return self.passing


def process(vault: Vault, document: Document, operations: Sequence[Operation]) -> Outcomes:
    """Run operations on a content: one that fails does not keep the others back.

    The content's status says whether it can be found, and its error which operations failed when
    they were last run.

    Raises:
        Permanent: it was deleted meanwhile (``content_not_found``).
        Retryable: its text was changed again and again (``content_changed``).
        Exception: what an operation failed with, if another try may help or all of them failed.
            What was completed is skipped by the next try.
    """
    [first] = _run(vault, [document], operations)
    try:
        ended = _settled(vault, first, operations)
    except ContentNotFound as error:
        content = document.content
        raise Permanent(
            f"content {content.id} ({content.title!r}) was deleted while it was processed",
            code=error.code,
        ) from None
    if ended.raised is not None:
        raise ended.raised
    if not ended.errors:
        return {**ended.outcomes}
    errors = {name: _explained(error) for name, error in ended.errors.items()}
    return {**ended.outcomes, "errors": errors}


def process_many(
    vault: Vault, contents: Sequence[Content], operations: Sequence[Operation], room: Room
) -> Iterator[list[Failed]]:
    """Run operations on contents, on short ones together, once there is room for their texts.

    It yields of each what failed for good: nothing if it was deleted meanwhile. How they stand is
    noted of all at once, in the end.

    Raises:
        Deferred: the room was closed.
        Retryable: a text was changed again and again (``content_changed``).
        TaskError, VaultError: an operation failed, and another try may help.
    """
    known = vault.records.chunk_sets([content.id for content in contents])
    done: list[_Ended] = []
    group: list[Document] = []
    try:
        for number, content in enumerate(contents, 1):
            try:
                group.append(read_document(vault, content, known))
            except (TaskError, VaultError) as error:
                if _may_pass(error):
                    raise
                yield [{"content_id": content.id, **_explained(error)}]
            length = sum(len(document.text) for document in group)
            if number < len(contents) and length < _TOGETHER:
                continue
            with room.taken(length):
                ended = _run(vault, group, operations)
            done += filterfalse(_is_gone, ended)
            # Those that failed for good, before what may pass ends all of it.
            yield from [_failed(one) for one in ended if one.passing is None]
            for one in ended:
                _raise_passing(one)
            group = []
    finally:
        noted = _note_all(vault, done)
        for one in done:
            if one.document.content.id not in noted:
                with suppress(ContentNotFound):
                    _raise_passing(_settled(vault, one, operations))


def _run(
    vault: Vault, documents: Sequence[Document], operations: Sequence[Operation]
) -> list[_Ended]:
    results: dict[str, list[_Result]] = {}
    for operation in operations:
        results[operation.name] = found = _results(operation, vault, documents)
        if all(_says_gone(error, of) for error, of in zip(found, documents, strict=True)):
            break
    return [
        _ended(document, {name: of_all[place] for name, of_all in results.items()})
        for place, document in enumerate(documents)
    ]


def _results(operation: Operation, vault: Vault, documents: Sequence[Document]) -> list[_Result]:
    if len(documents) > 1 and isinstance(operation, GroupOperation):
        group = _tried(operation.run_group, vault, documents)
        if not isinstance(group, Exception):
            return list(group)
        if isinstance(group, (TaskError, VaultError)) and group.retryable:
            return [group] * len(documents)
        # One of them is to blame, and keeps no other back.
    return [_tried(operation.run, vault, document) for document in documents]


def _tried(run: Callable[[Vault, T], R], vault: Vault, what: T) -> R | Exception:
    from celery.exceptions import SoftTimeLimitExceeded

    try:
        return run(vault, what)
    except (Deferred, SoftTimeLimitExceeded):
        raise  # it waits, or has no time left
    except Exception as error:  # noqa: BLE001 - also one that its author did not think of
        return error


def _ended(document: Document, results: Mapping[str, _Result]) -> _Ended:
    outcomes: dict[str, Outcome] = {}
    errors: dict[str, Exception] = {}
    for name, result in results.items():
        if isinstance(result, Exception):
            outcomes[name] = "failed"
            errors[name] = result
        else:
            outcomes[name] = "skipped" if result is False else "completed"
    return _Ended(document, outcomes, errors)


def _raise_passing(ended: _Ended) -> None:
    """Raise a failure that another try may help against."""
    if ended.passing is not None:
        raise ended.passing


def _is_gone(ended: _Ended) -> bool:
    """Whether the content was deleted meanwhile."""
    return any(_says_gone(error, ended.document) for error in ended.errors.values())


def _says_gone(error: _Result, document: Document) -> bool:
    return isinstance(error, ContentNotFound) and error.content_id == document.content.id


def _failed(ended: _Ended) -> list[Failed]:
    if _is_gone(ended):
        return []
    identity = ended.document.content.id
    return [{"content_id": identity, **_explained(error)} for error in ended.errors.values()]


def _note_all(vault: Vault, ended: Sequence[_Ended]) -> set[str]:
    """Note how contents stand, those of one standing together; returns the ids of those noted."""
    if not ended:
        return set()
    known = vault.records.chunk_sets([one.document.content.id for one in ended])
    alike: dict[tuple[str, str | None], list[Content]] = {}
    for one in ended:
        content = one.document.content
        alike.setdefault(one.standing(content, known.get(content.id)), []).append(content)
    noted = [vault.records.set_status(seen, *standing) for standing, seen in alike.items()]
    return set().union(*noted)


def _settled(vault: Vault, ended: _Ended, operations: Sequence[Operation]) -> _Ended:
    """Note how a content stands. If it has a newer text by now, that is processed in its place.

    (To have the call tried again would not do: it may be one that stores, and would store its own
    text again.)

    Raises:
        ContentNotFound: it was deleted meanwhile.
        Retryable: its text was changed again and again (``content_changed``).
    """
    for _ in range(_NEWER_TEXTS):
        newer = _note(vault, ended)
        if newer is None:
            return ended
        [ended] = _run(vault, [newer], operations)
    raise Retryable(
        f"the text of content {ended.document.content.id} is changed all the time",
        code="content_changed",
        after=10,
    )


def _note(vault: Vault, ended: _Ended) -> Document | None:
    """Note how a content stands, unless there is another text by now, which is returned then."""
    seen = ended.document.content
    while not vault.records.set_status(
        [seen], *ended.standing(seen, vault.records.chunk_set(seen.id))
    ):
        now = read_document(vault, vault.records.get_content(seen.id))
        if now.fingerprint != ended.document.fingerprint:
            # The passages may be those of the old text: whoever stops here leaves it to be done.
            vault.records.set_status([now.content], STORED)
            return read_document(vault, vault.records.get_content(seen.id))
        seen = now.content
    return None


def _may_pass(error: Exception) -> bool:
    """Whether another try may help; as for any task, that is so of what nobody thought of."""
    return error.retryable if isinstance(error, (TaskError, VaultError)) else True


def _explained(error: Exception) -> OperationError:
    code = error.code if isinstance(error, (TaskError, VaultError)) else "internal_error"
    return {"code": code, "message": str(error)}
