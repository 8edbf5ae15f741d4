"""How good a ranking is, as trec_eval counts: gain = grade, discount = log2(rank + 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean

from retrieval.dataset import Dataset

Run = Mapping[str, Sequence[str]]
"""query → documents, the best first."""


def measure(dataset: Dataset, run: Run) -> dict[str, float]:
    """Return the mean over all queries; one that found nothing counts as 0, itself for nothing."""
    judged = [
        (
            [found for found in run.get(query, ()) if not dataset.is_itself(query, found)],
            dataset.relevant[query],
        )
        for query in dataset.queries
    ]
    return {
        "ndcg@10": mean(ndcg(found, grades, 10) for found, grades in judged),
        "recall@10": mean(recall(found, grades, 10) for found, grades in judged),
        "recall@100": mean(recall(found, grades, 100) for found, grades in judged),
        "mrr@10": mean(reciprocal_rank(found, grades, 10) for found, grades in judged),
    }


def ndcg(found: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """Normalised discounted cumulative gain."""
    gained = _gain([grades.get(document, 0) for document in found[:depth]])
    return gained / _gain(sorted(grades.values(), reverse=True)[:depth])


def recall(found: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """Share of the relevant documents that are among the first."""
    return len(set(found[:depth]) & set(grades)) / len(grades)


def reciprocal_rank(found: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """1 / rank of the first relevant document."""
    ranks = (rank for rank, document in enumerate(found[:depth], 1) if document in grades)
    return 1 / next(ranks, math.inf)


def _gain(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
