"""Passages by their vectors, the nearest first, and exactly so unless the vault is large."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from menos_vault.errors import RecordsConflict, RecordsFailed
from menos_vault.records import schema
from menos_vault.records.checks import check_model
from menos_vault.records.connection import Connection
from menos_vault.records.index.tables import Place
from menos_vault.records.rows import chunk_record, record_of
from menos_vault.records.server import statements
from menos_vault.records.server.places import Scores, passing, place_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DEEPEST = 1000
"""Passages for which the vector index is asked; who wants more has all of them compared."""
_FEW_CONTENTS = 1000
_FEW_CHUNKS = 2000
"""Passages that are compared one by one in a filtered search: some 40 µs each at the server."""
_RANGES = 500  # per statement

T = TypeVar("T")

Rows = tuple[dict[str, Any], dict[str, Any]]
"""Of a chunk, and of its content."""
Model = tuple[str, int]
"""Name and dimension."""


class Meaning:
    """The vectors of a vault at a server."""

    def __init__(self, connection: Connection) -> None:
        """Remember whom to ask."""
        self._connection = connection

    def has(self, model: Model) -> bool:
        """Say whether the vault has a model yet. Raises EmbeddingMismatch if it is another one."""
        stored = schema.model_of(self._connection.ask(schema.EMBEDDING))
        if stored is not None:
            check_model(stored, model)
        return stored is not None

    def nearest(
        self,
        vector: "NDArray[np.float32]",
        model: Model | None,
        depth: int,
        allowed: Sequence[str] | None,
        without: str | None,
    ) -> Scores | None:
        """Return the `depth` nearest passages with their cosine similarity; fewer if that is all.

        Only those of the contents `allowed` unless that is None, and not those of `without`. None
        if the vault has no vectors yet. Raises EmbeddingMismatch, unless `model` is None.
        """
        variables = {"vector": vector.tolist(), "limit": depth, **_named(model)}
        return self._checked(model, lambda: self._nearest(depth, allowed, without, variables))

    def read_nearest(
        self, vector: "NDArray[np.float32]", model: Model | None, depth: int
    ) -> list[tuple[Place, float, Rows]] | None:
        """Return the same without filters, with what is stored of each; the index may come short.

        It is all in one request, since reading it in a second one takes its time.
        """
        variables = {"vector": vector.tolist(), "limit": depth, **_named(model)}
        answers = self._checked(model, lambda: self._ask(statements.read_nearest(depth), variables))
        if answers is None:
            return None
        *_, near, contents = answers
        known = {row["id"].id: row for row in contents}
        return [
            (place_of(row["id"]), _cosine(row), (row, known[row["content"].id]))
            for row in near
            if row["content"].id in known
        ]

    def _checked(self, model: Model | None, ask: Callable[[], T]) -> T | None:
        """Ask, unless the vault has no vectors. Raises EmbeddingMismatch if it has others."""
        try:
            return ask()
        except RecordsFailed as failure:
            if model is None or schema.OTHER_MODEL not in str(failure):
                raise
        if not self.has(model):
            return None
        raise RecordsConflict("the vault's model was changed meanwhile; try again")

    def _nearest(
        self,
        depth: int,
        allowed: Sequence[str] | None,
        without: str | None,
        variables: dict[str, Any],
    ) -> Scores:
        """Choose how to look.

        A filter that few passages pass is no question for the index, which would look at most of
        its graph and miss some: these are compared one by one. Otherwise the index brings more
        candidates than are wanted, and those that pass are taken. If they are too few, or the index
        came short, everything that passes is compared.
        """
        if allowed is not None and self._few(allowed):
            return self._compare(allowed, depth, without, variables)
        candidates = 4 * depth if allowed is not None or without is not None else depth
        if candidates <= _DEEPEST:
            [rows] = self._ask(statements.nearest(candidates), {**variables, "limit": candidates})
            found = passing(_scores(rows), allowed, without)
            if len(found) >= depth:
                return found[:depth]
        if allowed is not None:
            return self._compare(allowed, depth, without, variables)
        if without is not None:
            variables = {**variables, "without": record_of("content", without)}
        question = statements.nearest_exact(but_one=without is not None)
        [rows] = self._ask(question, variables)
        return _scores(rows)

    def similarities(
        self, vector: "NDArray[np.float32]", places: Sequence[Place]
    ) -> dict[Place, float]:
        """Return the cosine similarity of these passages; of those without a vector none."""
        if not places:
            return {}
        [rows] = self._connection.ask(
            statements.SIMILARITIES,
            vector=vector.tolist(),
            chunks=[chunk_record(*place) for place in places],
        )
        return dict(_scores(rows))

    def vectors(self, places: Sequence[Place]) -> "NDArray[np.float32]":
        """Return the unit vectors of these passages, zeros for one that has none."""
        import numpy as np

        chunks = [chunk_record(*place) for place in places]
        [rows] = self._connection.ask(statements.VECTORS, chunks=chunks)
        known = {place_of(row["id"]): row["embedding"] for row in rows}
        width = max(map(len, known.values()), default=1)
        vectors: NDArray[np.float32] = np.array(
            [known.get(place, [0.0] * width) for place in places], dtype=np.float32
        )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(lengths > 0, lengths, 1)
        return vectors

    def mean(self, content_id: str) -> "NDArray[np.float32] | None":
        """Return the mean direction of a content's passages; None if it has none."""
        import numpy as np

        [rows] = self._connection.ask(statements.read_vectors(content_id))
        if not rows:
            return None
        vectors = np.array(rows, dtype=np.float32)
        mean: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(
            axis=0
        )
        return mean if np.linalg.norm(mean) > 0 else None

    def _few(self, allowed: Sequence[str]) -> bool:
        from surrealdb import RecordID

        if len(allowed) > _FEW_CONTENTS:
            return False
        [counts] = self._connection.ask(
            "SELECT VALUE count FROM $ids", ids=[RecordID("chunk_set", name) for name in allowed]
        )
        return sum(map(int, counts)) <= _FEW_CHUNKS

    def _compare(
        self, allowed: Sequence[str], depth: int, without: str | None, variables: dict[str, Any]
    ) -> Scores:
        """Compare all passages of some contents, by their record ranges."""
        chosen = [content_id for content_id in allowed if content_id != without]
        if not chosen:
            return []
        questions = [
            statements.nearest_in(chosen[start : start + _RANGES])
            for start in range(0, len(chosen), _RANGES)
        ]
        results = self._ask("; ".join(questions), variables)
        found = [item for rows in results for item in _scores(rows)]
        return sorted(found, key=lambda item: (-item[1], item[0]))[:depth]

    def _ask(self, question: str, variables: dict[str, Any]) -> list[Any]:
        """Ask, if the vectors are of `$model`: in one request, as a second one takes its time."""
        if "model" not in variables:
            return self._connection.ask(question, **variables)
        return self._connection.ask(f"{schema.SAME_MODEL}; {question}", **variables)[1:]


def _named(model: Model | None) -> dict[str, Any]:
    return {} if model is None else {"model": model[0], "dimension": model[1]}


def _scores(rows: Iterable[dict[str, Any]]) -> Scores:
    return [(place_of(row["id"]), _cosine(row)) for row in rows]


def _cosine(row: dict[str, Any]) -> float:
    """Return a row's score; rounding may add a little to what is 1."""
    return max(-1.0, min(float(row["score"]), 1.0))
