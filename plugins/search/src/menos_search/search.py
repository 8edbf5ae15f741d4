"""Searching the vault."""

from __future__ import annotations

from functools import partial

from menos_bus import progress
from menos_vault import Hit, Vault


def search(vault: Vault, query: str, limit: int) -> list[Hit]:
    """Embed the query and ask the vault for the nearest passages.

    Args:
        vault: where to look.
        query: the query, not empty.
        limit: how many passages at most.

    Raises:
        EmbeddingMismatch: the vault's vectors are of another model.
        VaultError: the model or the vault could not do it.
    """
    embeddings = vault.embeddings
    if not embeddings.ready:
        if vault.records.counts().chunks == 0:
            return []  # no reason to fetch a model
        embeddings.prepare(partial(progress, "fetching the embedding model"))
    return vault.records.search(embeddings.embed_query(query), model=embeddings.model, limit=limit)
