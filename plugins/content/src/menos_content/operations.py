"""The operations of ``tasks.process_content``: those of this plugin, and those that others add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from menos_bus import extensions
from menos_content.document import Document
from menos_content.embed import Embed
from menos_content.summarize import Summarize
from menos_vault import Vault

POINT: Final = "content.operation"
"""Where other plugins register theirs: ``register("content.operation", MyOperation())``."""


class Operation(Protocol):
    """Something that can be done with a stored content.

    It stores what it makes, in the content's record, its objects or elsewhere, and may be run again
    at any time: the second run leaves what one run leaves. It runs beside others and by itself, so
    it relies on no other operation.
    """

    @property
    def name(self) -> str:
        """The word that calls use, in lower case."""
        ...

    def run(self, vault: Vault, document: Document) -> bool | None:
        """Do it. Returns ``False`` if there was nothing to do: it is called skipped then.

        An exception with a ``code`` and a ``retryable`` says what is wrong, such as
        ``menos_bus.Permanent`` and ``Retryable``.
        """
        ...


@runtime_checkable
class GroupOperation(Operation, Protocol):
    """An operation that costs less for several contents together than for each by itself."""

    def run_group(self, vault: Vault, documents: Sequence[Document]) -> Sequence[bool | None]:
        """Do it with several contents; returns of each what ``run`` would.

        If it raises what no other try helps against, each is done by itself.
        """
        ...


BUILT_IN: Final[dict[str, Operation]] = {
    operation.name: operation for operation in (Embed(), Summarize())
}
"""This plugin's own, by name."""


def operations_named(names: Sequence[str]) -> list[Operation]:
    """The operations of these names, which a door has checked."""
    known = {**BUILT_IN, **extensions(POINT)}
    return [known[name] for name in names]
