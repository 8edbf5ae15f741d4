"""The operation ``embed``: cut the text into passages and store them with their vectors."""

from __future__ import annotations

from functools import partial

from menos_bus import progress
from menos_content.chunking import chunk_document
from menos_content.document import Document
from menos_content.settings import ContentSettings
from menos_vault import Vault


def embed(vault: Vault, document: Document) -> None:
    """Make the passages of this text the content's passages, in place of those it has.

    Raises:
        EmbeddingMismatch: the vault's vectors are of another model.
        VaultError: the model or the vault could not do it.
    """
    settings = ContentSettings()
    embeddings = vault.embeddings
    if not embeddings.ready:
        embeddings.prepare(partial(progress, "fetching the embedding model"))
    progress("splitting")
    chunks = chunk_document(
        document,
        tokenizer_json=embeddings.tokenizer_json(),
        tokens=min(settings.chunk_tokens, embeddings.max_tokens),
        overlap=min(settings.chunk_overlap, embeddings.max_tokens // 2),
    )
    progress("embedding", 0, len(chunks))
    vectors = embeddings.embed_documents(
        [chunk.text for chunk in chunks], partial(progress, "embedding")
    )
    progress("storing vectors", 0, len(chunks))
    vault.records.replace_chunks(document.content.id, chunks, vectors, model=embeddings.model)
