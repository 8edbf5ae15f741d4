"""Searching the vault."""

from __future__ import annotations

from functools import partial
from typing import Final

from menos_bus import progress
from menos_search.fields import Mode
from menos_vault import Filters, Hit, Vault

PASSAGES: Final = 4
"""Passages of a content when results are contents: its best one, and up to three others."""


def search(
    vault: Vault,
    query: str,
    *,
    mode: Mode,
    limit: int,
    offset: int,
    by_content: bool,
    filters: Filters,
) -> list[Hit]:
    """Embed the query unless only its words count, and ask the vault.

    Args:
        vault: where to look.
        query: the query, not empty.
        mode: by meaning, by words, or by both.
        limit: how many results at most.
        offset: how many results to leave out before them.
        by_content: whether results are contents, and not passages.
        filters: which contents to look at.

    Raises:
        EmbeddingMismatch: the vault's vectors are of another model.
        VaultError: the model or the vault could not do it.
    """
    records = vault.records
    vector, model = None, ""
    if mode != "keyword":
        embeddings = vault.embeddings
        if not embeddings.ready:
            if records.model() is None:
                return []  # no reason to fetch a model
            embeddings.prepare(partial(progress, "fetching the embedding model"))
        vector, model = embeddings.embed_query(query), embeddings.model
    return records.search(
        vector,
        model=model,
        limit=limit,
        offset=offset,
        query=query,
        by_words=mode != "semantic",
        filters=filters,
        per_content=PASSAGES if by_content else 0,
    )
