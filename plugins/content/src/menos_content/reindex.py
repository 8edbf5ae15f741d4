"""Embedding again what was embedded by another model, or cut in another way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from typing_extensions import TypedDict

from menos_bus import progress
from menos_content.document import Document
from menos_content.embed import Cut, cut_now, embed
from menos_content.operations import Operation
from menos_content.process import Failed, process_many
from menos_content.room import Room
from menos_content.side_by_side import side_by_side
from menos_vault import Vault

_MOST_NAMED: Final = 100
"""Failures that a result names; all are counted."""

_STAGE: Final = "reindexing"


class Reindexed(TypedDict):
    """How a reindexing ended."""

    status: str
    contents: int
    chunks: int
    failed: list[Failed]


def reindex(vault: Vault, *, missing: bool) -> Reindexed:
    """Embed every content whose passages are of another model, or were cut in another way.

    What is done is not done again, so after whatever stopped it this goes on where it was. Searches
    go on meanwhile: each content keeps its old passages until the new ones are there. After a
    change of model the old vectors are of no use; words are found all the time, meanings as they
    come in.

    Args:
        vault: the vault.
        missing: whether to embed also what was never embedded.

    Raises:
        Deferred: there is more to do, and it is put back for a moment.
        VaultError: the model or the vault could not do it, and another try may help.
    """
    records, embeddings = vault.records, vault.embeddings
    embeddings.prepare(partial(progress, "fetching the embedding model"))
    if records.model() not in (None, (embeddings.model, embeddings.dimension)):
        records.change_model(embeddings.model, embeddings.dimension)
    wanted = _wanted(vault, missing=missing)
    cut = cut_now(embeddings)
    old = _old(vault, wanted, cut)
    work = partial(_embed, vault, _EmbedAnew(cut))
    done = side_by_side(work, old, stage=_STAGE, done=len(wanted) - len(old))
    failed = [failure for failures in done for failure in failures]
    return {
        "status": "success",
        "contents": len(wanted) - len(failed),
        "chunks": records.counts().chunks,
        "failed": failed[:_MOST_NAMED],
    }


class _EmbedAnew:
    """The operation for texts whose passages are known to be old."""

    name = "embed"

    def __init__(self, cut: Cut) -> None:
        self._cut = cut

    def run(self, vault: Vault, document: Document) -> None:
        embed(vault, [document], self._cut)

    def run_group(self, vault: Vault, documents: Sequence[Document]) -> list[None]:
        embed(vault, documents, self._cut)
        return [None] * len(documents)


def _embed(
    vault: Vault, operation: Operation, group: Sequence[str], room: Room
) -> Iterator[list[Failed]]:
    contents = vault.records.get_contents(group)
    yield from process_many(vault, list(contents.values()), [operation], room)
    yield from [[]] * (len(group) - len(contents))  # they were deleted meanwhile


def _wanted(vault: Vault, *, missing: bool) -> list[str]:
    """The contents that have, or should have, passages."""
    if not missing:
        return sorted(vault.records.chunk_sets())
    found: dict[str, None] = {}
    offset = 0
    while page := vault.records.list_contents(limit=1000, offset=offset):
        found.update((content.id, None) for content in page if "text" in content.objects)
        offset += len(page)
    return sorted(found)


def _old(vault: Vault, wanted: list[str], cut: Cut) -> list[str]:
    as_now = (vault.embeddings.model, cut.chunker)
    current = {
        identity
        for identity, known in vault.records.chunk_sets().items()
        # Without a fingerprint it was not written to its end.
        if (known.model, known.chunker) == as_now and known.fingerprint
    }
    return [identity for identity in wanted if identity not in current]
