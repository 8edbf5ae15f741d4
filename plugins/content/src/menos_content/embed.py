"""The operation ``embed``: cut the text into passages and store them with their vectors."""

from __future__ import annotations

from functools import partial
from typing import Final

from menos_bus import progress
from menos_content.chunking import chunk_document
from menos_content.context import with_context
from menos_content.document import Document
from menos_content.settings import ContentSettings
from menos_vault import Chunk, Vault
from menos_vault.embeddings import Embeddings

CHUNKER: Final = 3
"""Version of how texts are cut and put into words for the model. To be raised with every change of
that, so that ``tasks.reindex_content`` knows what is old."""

_MANY: Final = 32
"""Passages from which on somebody may want to see how far it is."""


class Embed:
    """The operation. A text that is embedded as it would be now is left alone."""

    name = "embed"

    def run(self, vault: Vault, document: Document) -> bool:
        """Make the passages of this text the content's passages, in place of those it has.

        Raises:
            EmbeddingMismatch: the vault's vectors are of another model.
            VaultError: the model or the vault could not do it.
        """
        embeddings = vault.embeddings
        if not embeddings.ready:
            embeddings.prepare(partial(progress, "fetching the embedding model"))
        tokens, overlap = _sizes(embeddings)
        chunker = cut_by(embeddings)
        known = vault.records.chunk_set(document.content.id)
        as_now = (embeddings.model, chunker, document.fingerprint)
        if known is not None and (known.model, known.chunker, known.fingerprint) == as_now:
            return False
        chunks = chunk_document(
            document, tokenizer_json=embeddings.tokenizer_json(), tokens=tokens, overlap=overlap
        )
        vectors = embeddings.embed_documents(
            [_words(embeddings, chunk, document.content.title) for chunk in chunks],
            partial(progress, "embedding") if len(chunks) >= _MANY else None,
        )
        vault.records.replace_chunks(
            document.content.id,
            chunks,
            vectors,
            model=embeddings.model,
            chunker=chunker,
            fingerprint=document.fingerprint,
        )
        return True


def _words(embeddings: Embeddings, chunk: Chunk, title: str) -> str:
    """What is embedded of a passage: with its context if the model reads that much."""
    whole = with_context(chunk, title)
    return whole if embeddings.count_tokens(whole) <= embeddings.max_tokens else chunk.text


def cut_by(embeddings: Embeddings) -> str:
    """What decides how a text is cut: the version of the way, and the sizes."""
    tokens, overlap = _sizes(embeddings)
    return f"{CHUNKER}:{tokens}/{overlap}"


def _sizes(embeddings: Embeddings) -> tuple[int, int]:
    settings = ContentSettings()
    tokens = min(settings.chunk_tokens, embeddings.max_tokens)
    return tokens, min(settings.chunk_overlap, embeddings.max_tokens // 2)
