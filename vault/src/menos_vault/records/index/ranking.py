"""One order from two kinds of scores."""

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

SIMILARITY_WEIGHT = 0.65
"""Weight of the cosine similarity in a hybrid search; the rest is BM25's.

Each score counts as its share of the best one of its kind for the query. Of the fusions tried on
six public collections (reciprocal ranks; minimum to maximum, z-scores, spread, shares of the best;
weights from 0.3 to 0.8) those by scores are within a hundredth of each other at their best weights,
and ranks are behind; see docs/search.md. Other than some, shares of the best do not depend on how
deep one looks, so pages of results fit together.
"""

CLOSE = 0.6
"""Cosine similarity from which on the best passage counts in full.

Where nothing is closer, as with a code word that the model does not know, all passages are about
equally far, and the shares of the best one would make much of little: the words decide then. On
twelve collections it gains up to 0.011 nDCG@10 and loses 0.002 at most.
"""

NEIGHBOURS = 64
"""How many of the best passages of a hybrid search have a say in each other's score.

What answers the same question is alike. So half of a passage's score is its own, the other half the
mean of its neighbours: an answer that lacks the query's words gains by those that have them, and
one that only shares words with the query loses. No mean is below the worst score among these
passages, so they stay in front of all others, and pages fit together. Chosen on twelve collections;
see docs/search.md.
"""
OWN_WEIGHT = 0.5
"""Weight of a passage's own score; the rest is its neighbours'."""
_ALONE = 0.003  # a passage's weight among its own neighbours: as a single one at cosine 0.48


def fuse(
    similarity: "NDArray[np.float32] | None", keywords: "NDArray[np.float32] | None"
) -> "NDArray[np.float32]":
    """Return one score per slot.

    `similarity` has -inf where there is no vector, `keywords` 0 where no word is found.
    """
    import numpy as np

    if similarity is None:
        assert keywords is not None
        return np.where(keywords > 0, keywords, np.float32(-np.inf))
    if keywords is None:
        return similarity
    meaning = _shares(np.where(np.isfinite(similarity), similarity, 0), CLOSE)
    combined = SIMILARITY_WEIGHT * meaning + (1 - SIMILARITY_WEIGHT) * _shares(keywords)
    found = np.isfinite(similarity) | (keywords > 0)
    return np.where(found, combined, np.float32(-np.inf))


def neighbours(
    scores: "NDArray[np.float32]", vectors: "NDArray[np.float32]"
) -> "NDArray[np.float32]":
    """Return for each of the best passages the mean score of those among them that are like it.

    `vectors` has its unit vector in the row of each, zeros if there is none. How much another one
    counts falls with the eighth power of the cosine. One that none is like has its own score.
    """
    import numpy as np

    weights = np.maximum(vectors @ vectors.T, 0) ** 8
    np.fill_diagonal(weights, _ALONE)
    means = weights @ scores / weights.sum(axis=1)
    # No mean is above the best one, but for rounding.
    found: NDArray[np.float32] = np.minimum(means, scores.max(initial=-np.inf))
    return found


def join(scores: "NDArray[np.float32]", means: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Return the scores of the best passages together with what their neighbours say."""
    import numpy as np

    joined = OWN_WEIGHT * scores + (1 - OWN_WEIGHT) * means
    # Else rounding could put one of them behind all others.
    found: NDArray[np.float32] = np.maximum(joined, scores.min(initial=np.inf))
    return found


def best(scores: "NDArray[np.float32]", count: int) -> list[int]:
    """Return the `count` best slots, the best first; of equals the one with the lower number."""
    import numpy as np

    among = np.flatnonzero(np.isfinite(scores))
    if count < len(among):
        # Everything that is as good as the last one, so that numbers decide among equals.
        border = np.partition(scores[among], -count)[-count]
        among = among[scores[among] >= border]
    order = np.lexsort((among, -scores[among]))
    return [int(slot) for slot in among[order[:count]]]


def page(
    best: Callable[[int], Sequence[T]],
    owner: Callable[[T], Hashable],
    *,
    limit: int,
    offset: int,
    per_owner: int,
) -> list[T]:
    """Return `limit` of the best ones after the first `offset`.

    `best` returns so many of them, the best first, or all if there are no more. With `per_owner`
    above 0 `limit` and `offset` count owners, and at most so many of each are returned, together.
    """
    wanted = offset + limit
    if not per_owner:
        return list(best(wanted)[offset:])
    depth = 8 * wanted + 64
    while True:
        found = best(depth)
        groups: dict[Hashable, list[T]] = {}
        for item in found:
            groups.setdefault(owner(item), []).append(item)
        if len(groups) >= wanted or len(found) < depth:
            chosen = list(groups.values())[offset:wanted]
            return [item for group in chosen for item in group[:per_owner]]
        depth *= 8


def _shares(scores: "NDArray[np.float32]", least: float = 0) -> "NDArray[np.float32]":
    """Divide by the best one, or by `least` if that is more, unless both are 0."""
    top = scores.max(initial=least)
    shares: NDArray[np.float32] = scores / top if top > 0 else scores
    return shares
