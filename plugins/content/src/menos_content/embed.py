"""The operation ``embed``: cut the text into passages and store them with their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import compress
from typing import Final, NamedTuple

from menos_bus import progress
from menos_content.chunking import chunk_document
from menos_content.context import with_context
from menos_content.document import Document
from menos_content.settings import ContentSettings
from menos_content.token_counter import TokenCounter
from menos_content.while_there import OFTEN, progress_while_there
from menos_vault import Chunk, NewChunks, Vault
from menos_vault.embeddings import Embeddings

CHUNKER: Final = 5
"""Version of how texts are cut and put into words for the model. To be raised with every change of
that, so that ``tasks.reindex_content`` knows what is old."""

_MANY: Final = 32
"""Passages from which on it takes a while, so that somebody may want to see how far it is, or may
delete the content meanwhile."""


class Cut(NamedTuple):
    """How texts are cut: sizes in tokens of the embedding model."""

    tokens: int
    overlap: int

    @property
    def chunker(self) -> str:
        """Names this way of cutting, with its version."""
        return f"{CHUNKER}:{self.tokens}/{self.overlap}"


def cut_now(embeddings: Embeddings) -> Cut:
    """How texts are to be cut, as the settings and the model say."""
    settings = ContentSettings()
    return Cut(
        min(settings.chunk_tokens, embeddings.max_tokens),
        min(settings.chunk_overlap, embeddings.max_tokens // 2),
    )


class Embed:
    """The operation. A text that is embedded as it would be now is left alone."""

    name = "embed"

    def run(self, vault: Vault, document: Document) -> bool:
        """Make the passages of this text the content's passages, in place of those it has.

        Raises:
            ContentNotFound: it was deleted meanwhile.
            EmbeddingMismatch: the vault's vectors are of another model.
            VaultError: the model or the vault could not do it.
        """
        [done] = self.run_group(vault, [document])
        return done

    def run_group(self, vault: Vault, documents: Sequence[Document]) -> list[bool]:
        """Do so with several texts, whose passages fill the model's batches together."""
        embeddings = vault.embeddings
        if not embeddings.ready:
            embeddings.prepare(partial(progress, "fetching the embedding model"))
        cut = cut_now(embeddings)
        wanted = [not _is_embedded(document, embeddings.model, cut) for document in documents]
        embed(vault, list(compress(documents, wanted)), cut)
        return wanted


def embed(vault: Vault, documents: Sequence[Document], cut: Cut) -> None:
    """Cut texts into passages, embed them and store both, in place of those that they have.

    Raises as :meth:`Embed.run` does.
    """
    embeddings = vault.embeddings
    passages = [passages_of(document, embeddings, cut) for document in documents]
    words = [text for _, texts in passages for text in texts]
    told = None
    if len(words) >= _MANY:
        told = progress_while_there("embedding", vault, documents, every=OFTEN)
    vectors = embeddings.embed_documents(words, told)
    new = []
    place = 0
    for document, (chunks, _) in zip(documents, passages, strict=True):
        some = vectors[place : place + len(chunks)]
        new.append(NewChunks(document.content.id, chunks, some, document.fingerprint))
        place += len(chunks)
    vault.records.replace_many_chunks(new, model=embeddings.model, chunker=cut.chunker)


def _is_embedded(document: Document, model: str, cut: Cut) -> bool:
    known = document.chunk_set
    as_now = (model, cut.chunker, document.fingerprint)
    return known is not None and (known.model, known.chunker, known.fingerprint) == as_now


def passages_of(
    document: Document, embeddings: Embeddings, cut: Cut
) -> tuple[list[Chunk], list[str]]:
    """A text's passages, and what is embedded of each."""
    starts = embeddings.token_starts(document.text)
    chunks = chunk_document(document, starts, tokens=cut.tokens, overlap=cut.overlap)
    count = TokenCounter(document.text, starts)
    return chunks, [_words(embeddings, chunk, document.content.title, count) for chunk in chunks]


def _words(embeddings: Embeddings, chunk: Chunk, title: str, count: TokenCounter) -> str:
    """What is embedded of a passage: with its context if the model reads that much."""
    whole = with_context(chunk, title)
    context = whole.removesuffix(chunk.text)
    # A line of its own, so no token is of both; the passage need not be read again.
    tokens = embeddings.count_tokens(context) + count(chunk.text)
    return whole if tokens <= embeddings.max_tokens else chunk.text
