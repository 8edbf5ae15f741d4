"""Embedding again what was embedded by another model, or cut in another way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final

from typing_extensions import TypedDict

from menos_bus import Deferred, TaskError, progress
from menos_content.document import Document
from menos_content.embed import Cut, cut_now, embed
from menos_content.operations import Operation
from menos_content.process import process
from menos_content.room import Room
from menos_vault import Vault, VaultError

_SLICE: Final = 60.0
"""Seconds after which the work is put back and taken up again: other calls get their turn, and no
time limit is met."""

_SIDE_BY_SIDE: Final = 8
"""Contents that are worked on at a time, so that short ones fill the batches of the model, too."""

_CHARACTERS: Final = 100_000
"""Of texts that are worked on at a time, if it is more than one: they fill the batches, and of long
ones each is done before the next one begins, so that a slice is not over before any of them is."""

_MOST_NAMED: Final = 100
"""Failures that a result names; all are counted."""

_STAGE: Final = "reindexing"


class Failed(TypedDict):
    """A content that could not be embedded."""

    content_id: str
    code: str
    message: str


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
    began = time.monotonic()
    records, embeddings = vault.records, vault.embeddings
    embeddings.prepare(partial(progress, "fetching the embedding model"))
    if records.model() not in (None, (embeddings.model, embeddings.dimension)):
        records.change_model(embeddings.model, embeddings.dimension)
    wanted = _wanted(vault, missing=missing)
    old = _old(vault, wanted)
    done = len(wanted) - len(old)
    failed: list[Failed] = []
    progress(_STAGE, done, len(wanted))
    for identity, error in _embedded(vault, old):
        if error is not None and error.retryable:
            raise error
        if error is not None and error.code != "content_not_found":  # deleted meanwhile
            failed.append({"content_id": identity, "code": error.code, "message": str(error)})
        done += 1
        progress(_STAGE, done, len(wanted))
        if time.monotonic() - began > _SLICE and done < len(wanted):
            raise Deferred(
                f"{done} of {len(wanted)} contents are embedded as they are now",
                "reindexing",
                after=1,
                progress=(_STAGE, done, len(wanted)),
            )
    return {
        "status": "success",
        "contents": len(wanted) - len(failed),
        "chunks": records.counts().chunks,
        "failed": failed[:_MOST_NAMED],
    }


def _embedded(
    vault: Vault, identities: Sequence[str]
) -> Iterator[tuple[str, TaskError | VaultError | None]]:
    """Embed contents; of each, in their order, whether it failed.

    Who stops here waits for those that are worked on, and begins no more.
    """
    embed = _EmbedInTurn(Room(_CHARACTERS), cut_now(vault.embeddings))
    waiting = deque(identities)
    begun: deque[tuple[str, Future[TaskError | VaultError | None]]] = deque()
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        try:
            while waiting or begun:
                while waiting and len(begun) < _SIDE_BY_SIDE:
                    identity = waiting.popleft()
                    begun.append((identity, pool.submit(_embed, vault, identity, embed)))
                identity, future = begun.popleft()
                yield identity, future.result()
        finally:
            embed.room.close()


class _EmbedInTurn:
    """The operation of texts that are known to be old, once there is room for them."""

    name = "embed"

    def __init__(self, room: Room, cut: Cut) -> None:
        self.room = room
        self._cut = cut

    def run(self, vault: Vault, document: Document) -> None:
        with self.room.taken(len(document.text)):
            embed(vault, document, self._cut)


def _embed(vault: Vault, identity: str, embed: Operation) -> TaskError | VaultError | None:
    try:
        process(vault, identity, [embed])
    except (TaskError, VaultError) as error:
        return error
    return None


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


def _old(vault: Vault, wanted: list[str]) -> list[str]:
    as_now = (vault.embeddings.model, cut_now(vault.embeddings).chunker)
    current = {
        identity
        for identity, known in vault.records.chunk_sets().items()
        # Without a fingerprint it was not written to its end.
        if (known.model, known.chunker) == as_now and known.fingerprint
    }
    return [identity for identity in wanted if identity not in current]
