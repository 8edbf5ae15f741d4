"""What the bus is compared with: BM25, exact dense search, and what one would write by hand."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrieval.dataset import Dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from menos_vault.embeddings import Embeddings

DEPTH = 100
_RRF = 60


def bm25(dataset: Dataset) -> dict[str, list[str]]:
    """Rank whole documents by bm25s with its defaults, English stop words and Snowball stems."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    ids = list(dataset.documents)

    def tokens(texts: list[str]) -> list[list[str]]:
        found = bm25s.tokenize(
            texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
        )
        return list(found)

    index = bm25s.BM25()
    index.index(tokens([f"{t} {x}" for t, x in dataset.documents.values()]), show_progress=False)
    found, scores = index.retrieve(
        tokens(list(dataset.queries.values())), k=min(DEPTH, len(ids)), show_progress=False
    )
    return {
        query: [ids[place] for place, score in zip(*row, strict=True) if score > 0]
        for query, row in zip(dataset.queries, zip(found, scores, strict=True), strict=True)
    }


def by_reciprocal_ranks(rankings: Iterable[Iterable[str]]) -> list[str]:
    """One order from several: by the sum of reciprocal ranks."""
    scores: defaultdict[str, float] = defaultdict(float)
    for ranking in rankings:
        for rank, found in enumerate(ranking, 1):
            scores[found] += 1 / (_RRF + rank)
    return sorted(scores, key=lambda found: -scores[found])


class ByHand:
    """The same passages in SQLite FTS5 and a numpy matrix, as a careful script would have them."""

    def __init__(
        self,
        owners: Sequence[str],
        texts: Sequence[str],
        vectors: NDArray[np.float32],
        embeddings: Embeddings,
    ) -> None:
        self._owners = owners
        self._vectors = vectors
        self._embeddings = embeddings
        self._database = sqlite3.connect(":memory:")
        self._database.execute("CREATE VIRTUAL TABLE passages USING fts5(text, tokenize='porter')")
        self._database.executemany(
            "INSERT INTO passages (rowid, text) VALUES (?, ?)", enumerate(texts)
        )

    def dense(self, query: str) -> list[int]:
        """All passages by exact cosine similarity, the best first."""
        scores = self._vectors @ self._embeddings.embed_query(query)
        return [int(place) for place in np.argsort(-scores, kind="stable")]

    def words(self, query: str) -> list[int]:
        """Passages by FTS5's BM25, the best first."""
        asked = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query))
        found = self._database.execute(
            "SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT ?",
            (asked, DEPTH),
        )
        return [place for (place,) in found]

    def hybrid(self, query: str) -> list[str]:
        """Documents by the sum of reciprocal ranks."""
        sides = (self.dense(query)[:DEPTH], self.words(query))
        return by_reciprocal_ranks(map(self.documents, sides))

    def documents(self, places: Iterable[int]) -> list[str]:
        """The documents of passages, each once, at most 100."""
        return list(dict.fromkeys(self._owners[place] for place in places))[:DEPTH]
