"""The search of a vault at a database server."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING

from menos_vault.records.connection import Connection
from menos_vault.records.filters import Filters, filter_conditions
from menos_vault.records.index import ranking
from menos_vault.records.index.local import Found
from menos_vault.records.index.tables import Place
from menos_vault.records.server import statements
from menos_vault.records.server.frequencies import Frequencies
from menos_vault.records.server.meaning import Meaning
from menos_vault.records.server.places import Scores
from menos_vault.records.server.words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_THREADS = 16  # searches whose two halves run side by side; of more, some halves wait
_READ = 100  # passages that are read along with the search for them
_MORE = 40  # passages beyond the best whose vectors are asked for with theirs


class ServerIndex:
    """Asks the server for candidates, and puts them in the order of an embedded vault. Thread-safe.

    A hybrid search is right without looking at everything: the words bring all that has any, and
    of the rest nothing can be among the best that is not among the nearest.
    """

    def __init__(self, connection: Connection) -> None:
        """Remember whom to ask."""
        self._connection = connection
        self._meaning = Meaning(connection)
        self._words = Words(connection)
        self._frequencies = Frequencies(connection)
        # Its threads end when nobody has it any more.
        self._threads = ThreadPoolExecutor(_THREADS, "menos-vault-search")

    def count(self, filters: Filters) -> int:
        """Count the contents that pass."""
        conditions, variables = filter_conditions(filters)
        [rows] = self._connection.ask(statements.count_contents(conditions), **variables)
        return int(rows[0]["count"]) if rows else 0

    def search(
        self,
        vector: "NDArray[np.float32] | None",
        query: str,
        *,
        model: tuple[str, int] | None = None,
        by_words: bool,
        filters: Filters,
        limit: int,
        offset: int,
        per_content: int,
        without: str | None = None,
    ) -> list[Found]:
        """Return the best passages, without the marks. See `menos_vault.records.upkeep.Index`."""
        allowed = self._allowed(filters) if filters else None
        if allowed == []:
            if model is not None:
                self._meaning.has(model)  # or else say so, as any other search
            return []
        if vector is not None and not (by_words or filters or without or per_content):
            read = self._read(vector, model, offset + limit)
            if read is not None:
                return read[offset:]
        further = 4 if by_words else 1  # so that most of what the words find is among the nearest

        @cache
        def matched() -> Scores | None:
            return self._matched(query, allowed, without) if by_words else None

        def best(depth: int) -> list[Found]:
            deep = max(depth, ranking.NEIGHBOURS) if by_words else depth
            nearest = self._nearest(vector, model, further * deep, allowed, without)
            if by_words and vector is not None:
                nearest = self._threads.submit(nearest).result  # while the words are looked for
            by_word = matched()
            found = self._ranked(vector, nearest(), by_word, deep, further * deep)
            if vector is not None and by_word is not None:
                found = self._joined(found)
            return found[:depth]

        return ranking.page(
            best,
            lambda item: item.place.content_id,
            limit=limit,
            offset=offset,
            per_owner=per_content,
        )

    def mean(self, content_id: str) -> "NDArray[np.float32] | None":
        """Return the mean vector of a content's passages; None if it has none."""
        return self._meaning.mean(content_id)

    def _read(
        self, vector: "NDArray[np.float32]", model: tuple[str, int] | None, depth: int
    ) -> list[Found] | None:
        """Return the nearest passages with their rows; None if they are too many, or too few."""
        if depth > _READ:
            return None
        near = self._meaning.read_nearest(vector, model, depth)
        if near is None or len(near) < depth:
            return None
        return [Found(place, score, score, None, None, rows) for place, score, rows in near]

    def _allowed(self, filters: Filters) -> list[str]:
        conditions, variables = filter_conditions(filters)
        [ids] = self._connection.ask(statements.passing_contents(conditions), **variables)
        return [record.id for record in ids]

    def _nearest(
        self,
        vector: "NDArray[np.float32] | None",
        model: tuple[str, int] | None,
        reach: int,
        allowed: Sequence[str] | None,
        without: str | None,
    ) -> Callable[[], Scores | None]:
        """Return what looks for the nearest passages; without a vector there are none."""
        if vector is None:
            return lambda: None
        return partial(self._meaning.nearest, vector, model, reach, allowed, without)

    def _matched(
        self, query: str, allowed: Sequence[str] | None, without: str | None
    ) -> Scores | None:
        terms = self._frequencies.telling(query)
        return self._words.matches(terms, allowed, without) if terms else None

    def _ranked(
        self,
        vector: "NDArray[np.float32] | None",
        nearest: Scores | None,
        matched: Scores | None,
        depth: int,
        reach: int,
    ) -> list[Found]:
        """Return the `depth` best passages, or fewer if there are no more.

        `nearest` are the `reach` nearest, or all that have a vector.
        """
        similarity = None if nearest is None else dict(nearest)
        keywords = None if matched is None else dict(matched)
        if vector is None or similarity is None or keywords is None or len(similarity) < reach:
            return _order(similarity, keywords)[:depth]
        # At best, those that the words found are as near as the last of the nearest. Who is not
        # among the best even so need not be asked for.
        bound = dict.fromkeys(keywords.keys() - similarity.keys(), min(similarity.values()))
        while True:
            ranked = _order(similarity | bound, keywords)
            if not any(item.place in bound for item in ranked[:depth]):
                return ranked[:depth]
            some = [item.place for item in ranked[: depth + _MORE] if item.place in bound]
            similarity |= self._meaning.similarities(vector, some)
            for place in some:
                del bound[place]

    def _joined(self, found: list[Found]) -> list[Found]:
        """Let the best passages have a say in each other's score, as `LocalIndex` does."""
        import numpy as np

        near = found[: ranking.NEIGHBOURS]
        if not near:
            return found
        scores = np.array([item.combined for item in near], dtype=np.float32)
        means = ranking.neighbours(scores, self._meaning.vectors([item.place for item in near]))
        joined = [
            item._replace(combined=score, neighbours=mean)
            for item, score, mean in zip(
                near, ranking.join(scores, means).tolist(), means.tolist(), strict=True
            )
        ]
        joined.sort(key=lambda item: (-item.combined, item.place))
        return joined + found[ranking.NEIGHBOURS :]


def _order(
    similarity: dict[Place, float] | None, keywords: dict[Place, float] | None
) -> list[Found]:
    import numpy as np

    places = sorted({**(similarity or {}), **(keywords or {})})
    if not places:
        return []
    meaning = matching = None
    if similarity is not None:
        meaning = np.array([similarity.get(p, -np.inf) for p in places], dtype=np.float32)
    if keywords is not None:
        matching = np.array([keywords.get(p, 0) for p in places], dtype=np.float32)
    combined = ranking.fuse(meaning, matching)
    order = np.argsort(-combined, kind="stable")
    return [
        Found(
            places[number],
            float(combined[number]),
            None if similarity is None else similarity.get(places[number]),
            None if keywords is None else keywords.get(places[number], 0.0),
            None,
        )
        for number in order
        if np.isfinite(combined[number])
    ]
