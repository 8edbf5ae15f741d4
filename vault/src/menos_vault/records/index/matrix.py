"""All vectors of a vault as one matrix in memory.

Up to some 100,000 passages a plain product with every row is faster than any index over them, and
it is exact: there is no recall to lose, whatever was written or deleted a moment ago.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FIRST_ROWS = 1024


class Matrix:
    """Unit vectors by slot; a slot without a vector has a similarity of -inf."""

    def __init__(self) -> None:
        """Begin empty; the first vectors decide the dimension."""
        self._rows: NDArray[np.float32] | None = None
        self._known: NDArray[np.bool_] | None = None

    def put(self, slots: Sequence[int], vectors: "NDArray[np.float32]") -> None:
        """Set the vectors of slots, made of length 1, so that a product is the cosine."""
        import numpy as np

        if not slots:
            return
        self._grow(max(slots) + 1, vectors.shape[1])
        assert self._rows is not None
        assert self._known is not None
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._rows[slots] = vectors / np.where(lengths > 0, lengths, 1)
        self._known[slots] = True

    def forget(self, slots: Sequence[int]) -> None:
        """Take the vectors of slots away."""
        if self._known is not None and slots:
            self._known[[slot for slot in slots if slot < len(self._known)]] = False

    def clear(self) -> None:
        """Take all vectors away; the next ones may have another dimension."""
        self._rows = self._known = None

    def similarities(self, vector: "NDArray[np.float32]", size: int) -> "NDArray[np.float32]":
        """Return the cosine similarity of each slot from 0 to `size` - 1 with a vector."""
        import numpy as np

        found = np.full(size, -np.inf, dtype=np.float32)
        if self._rows is not None and self._known is not None:
            end = min(size, len(self._rows))
            scores = self._rows[:end] @ (vector / np.linalg.norm(vector)).astype(np.float32)
            # Rounding may add a little to what is 1.
            found[:end] = np.where(self._known[:end], np.clip(scores, -1, 1), -np.inf)
        return found

    def vectors(self, slots: Sequence[int]) -> "NDArray[np.float32]":
        """Return the unit vectors of slots, zeros for one that has none."""
        import numpy as np

        if self._rows is None or self._known is None:
            return np.zeros((len(slots), 1), dtype=np.float32)
        found = np.zeros((len(slots), self._rows.shape[1]), dtype=np.float32)
        for row, slot in enumerate(slots):
            if slot < len(self._known) and self._known[slot]:
                found[row] = self._rows[slot]
        return found

    def mean(self, slots: Sequence[int]) -> "NDArray[np.float32] | None":
        """Return the mean vector of those slots that have one; None if none has, or it is zero."""
        import numpy as np

        if self._rows is None or self._known is None:
            return None
        known = [slot for slot in slots if slot < len(self._known) and self._known[slot]]
        if not known:
            return None
        mean: NDArray[np.float32] = self._rows[known].mean(axis=0)
        return mean if np.linalg.norm(mean) > 0 else None

    def _grow(self, size: int, dimension: int) -> None:
        import numpy as np

        have = 0 if self._rows is None else len(self._rows)
        if size <= have:
            return
        # By a half each time: copying stays rare, and little stays unused.
        rows = np.zeros((max(size, have + have // 2, _FIRST_ROWS), dimension), dtype=np.float32)
        known = np.zeros(len(rows), dtype=np.bool_)
        if self._rows is not None and self._known is not None:
            rows[:have], known[:have] = self._rows, self._known
        self._rows, self._known = rows, known
