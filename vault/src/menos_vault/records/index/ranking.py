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
    meaning = _shares(np.where(np.isfinite(similarity), similarity, 0))
    combined = SIMILARITY_WEIGHT * meaning + (1 - SIMILARITY_WEIGHT) * _shares(keywords)
    found = np.isfinite(similarity) | (keywords > 0)
    return np.where(found, combined, np.float32(-np.inf))


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


def _shares(scores: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Divide by the best one; scores without a positive one stay as they are."""
    top = scores.max(initial=0)
    shares: NDArray[np.float32] = scores / top if top > 0 else scores
    return shares
