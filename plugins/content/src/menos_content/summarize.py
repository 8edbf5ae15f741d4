"""The operation ``summarize``: by default the sentences that say most of a text."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from menos_bus import progress
from menos_content.document import Document
from menos_content.sentences import sentences
from menos_content.settings import ContentSettings
from menos_content.while_there import OFTEN, progress_while_there
from menos_vault import Vault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SENTENCES: Final = 5
_CHARACTERS: Final = 1200
_CANDIDATES: Final = 400
"""Sentences that are compared. Of a longer text as many are taken, evenly spread, so that the work
does not grow with it: embedding so many takes a few seconds on two processors."""

_RELEVANCE: Final = 0.7
"""Weight of likeness to the whole text against unlikeness to what is chosen already (λ)."""


class Summarize:
    """The operation. A text that has its summary is left alone."""

    name = "summarize"

    def run(self, vault: Vault, document: Document) -> bool:
        """Store a summary of the text, made as ``MENOS_CONTENT_SUMMARIES`` says.

        A text without sentences gets no extractive summary.

        Raises:
            ContentNotFound: it was deleted meanwhile.
            VaultError: the model or the vault could not do it.
            Permanent: a model answered what is no summary (``bad_summary``).
        """
        settings = ContentSettings()
        by_model = settings.summaries == "ollama"
        way = f"ollama/{settings.ollama_model}" if by_model else "extractive"
        mark = f"{way}:{document.fingerprint}"
        if document.content.summary_of == mark:
            return False
        if by_model:
            from menos_content.digest import summarize_by_model

            summarize_by_model(vault, document, mark)
        else:
            vault.records.update_content(
                document.content.id, summary=_summary(vault, document), summary_of=mark
            )
        return True


def _summary(vault: Vault, document: Document) -> str | None:
    candidates = _spread(sentences(document))
    if not candidates:
        return None
    embeddings = vault.embeddings
    if not embeddings.ready:
        embeddings.prepare(partial(progress, "fetching the embedding model"))
    tell = progress_while_there("summarizing", vault, [document], every=OFTEN)
    tell(0, len(candidates))
    vectors = embeddings.embed_documents(candidates, tell)
    chosen = choose(vectors, [len(sentence) for sentence in candidates])
    return " ".join(candidates[place] for place in sorted(chosen))


def choose(vectors: NDArray[np.float32], lengths: list[int]) -> list[int]:
    """Choose sentences by maximal marginal relevance, the most telling first.

    Each step takes the sentence with the largest λ·sim(sentence, centroid) − (1 − λ)·max sim
    (sentence, one chosen before), where the centroid stands for the text. Source: J. Carbonell and
    J. Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
    Summaries", SIGIR 1998, with the centroid in the place of a query.

    Args:
        vectors: one unit vector per sentence, shape (n, d).
        lengths: the sentences' lengths in characters; all chosen ones, with a space between them,
            have at most 1,200.

    Returns:
        At most 5 places, in the order of choice.
    """
    import numpy as np

    centroid = vectors.mean(axis=0)
    centroid /= np.linalg.norm(centroid) or 1.0
    relevance = vectors @ centroid
    likeness = np.zeros(len(vectors), dtype=np.float32)
    sizes = np.asarray(lengths)
    usable = np.ones(len(vectors), dtype=bool)
    chosen: list[int] = []
    room = _CHARACTERS
    while len(chosen) < _SENTENCES:
        usable &= sizes <= room
        if not usable.any():
            break
        gain = np.where(usable, _RELEVANCE * relevance - (1 - _RELEVANCE) * likeness, -np.inf)
        place = int(gain.argmax())
        chosen.append(place)
        usable[place] = False
        room -= lengths[place] + 1
        likeness = np.maximum(likeness, vectors @ vectors[place])
    return chosen


def _spread(found: list[str]) -> list[str]:
    if len(found) <= _CANDIDATES:
        return found
    return [found[place * len(found) // _CANDIDATES] for place in range(_CANDIDATES)]
