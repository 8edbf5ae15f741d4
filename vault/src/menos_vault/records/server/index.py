"""The search of a vault at a database server."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from menos_vault.records.connection import Connection
from menos_vault.records.filters import Filters, filter_conditions
from menos_vault.records.index import ranking
from menos_vault.records.index.local import Found
from menos_vault.records.index.tables import Place
from menos_vault.records.schema import passing_contents
from menos_vault.records.server.frequencies import Frequencies
from menos_vault.records.server.meaning import Meaning, Nearest
from menos_vault.records.server.words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_THREADS = 16  # searches whose two halves run side by side; of more, some halves wait
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

    def search(
        self,
        vector: "NDArray[np.float32] | None",
        query: str,
        *,
        by_words: bool,
        filters: Filters,
        limit: int,
        offset: int,
        per_content: int,
        without: str | None = None,
    ) -> list[Found]:
        """Return the best passages, as `LocalIndex.search` does, without the marks."""
        allowed = self._allowed(filters) if filters else None
        if allowed == []:
            return []
        wanted = offset + limit
        depth = wanted if not per_content else 8 * wanted + 64
        if by_words:
            depth = max(depth, ranking.NEIGHBOURS)
        further = 4 if by_words else 1  # so that most of what the words find is among the nearest
        nearest = self._begin(vector, further * depth, allowed, without)
        matched = self._matched(query, allowed, without) if by_words else None
        found = self._ranked(vector, nearest.result(), matched, depth, further * depth)
        while per_content and len(found) == depth and _contents(found) < wanted:
            depth *= 8
            nearest = self._begin(vector, further * depth, allowed, without)
            found = self._ranked(vector, nearest.result(), matched, depth, further * depth)
        if vector is not None and matched is not None:
            found = self._joined(found)
        if not per_content:
            return found[offset:wanted]
        groups: dict[str, list[Found]] = {}
        for item in found:
            groups.setdefault(item.place.content_id, []).append(item)
        chosen = list(groups.values())[offset:wanted]
        return [item for group in chosen for item in group[:per_content]]

    def mean(self, content_id: str) -> "NDArray[np.float32] | None":
        """Return the mean vector of a content's passages; None if it has none."""
        return self._meaning.mean(content_id)

    def _allowed(self, filters: Filters) -> list[str]:
        conditions, variables = filter_conditions(filters)
        [ids] = self._connection.ask(passing_contents(conditions), **variables)
        return [record.id for record in ids]

    def _begin(
        self,
        vector: "NDArray[np.float32] | None",
        reach: int,
        allowed: Sequence[str] | None,
        without: str | None,
    ) -> "Future[Nearest | None]":
        """Begin to look for the nearest passages, while the words are looked for."""
        if vector is None:
            return self._threads.submit(lambda: None)
        return self._threads.submit(self._meaning.nearest, vector, reach, allowed, without)

    def _matched(
        self, query: str, allowed: Sequence[str] | None, without: str | None
    ) -> Nearest | None:
        terms = self._frequencies.telling(query)
        return self._words.matches(terms, allowed, without) if terms else None

    def _ranked(
        self,
        vector: "NDArray[np.float32] | None",
        nearest: Nearest | None,
        matched: Nearest | None,
        depth: int,
        reach: int,
    ) -> list[Found]:
        """Return the `depth` best passages, or fewer if there are no more.

        `nearest` are the `reach` nearest, or all that have a vector.
        """
        similarity, by_words = dict(nearest or []), dict(matched or [])
        ranked = _order(similarity, by_words, nearest, matched)
        if vector is None or nearest is None or matched is None or len(nearest) < reach:
            return ranked[:depth]
        far = [place for place in by_words if place not in similarity]
        # At best, those that the words found are as near as the last of the nearest. Who is not
        # among the best even so need not be asked for.
        bound = dict.fromkeys(far, nearest[-1][1])
        while True:
            ranked = _order(similarity | bound, by_words, nearest, matched)
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


def _contents(found: Sequence[Found]) -> int:
    return len({item.place.content_id for item in found})


def _order(
    similarity: dict[Place, float],
    keywords: dict[Place, float],
    nearest: Sequence[tuple[Place, float]] | None,
    matched: Sequence[tuple[Place, float]] | None,
) -> list[Found]:
    import numpy as np

    places = sorted(similarity.keys() | keywords.keys())
    if not places:
        return []
    meaning = matching = None
    if nearest is not None:
        meaning = np.array([similarity.get(p, -np.inf) for p in places], dtype=np.float32)
    if matched is not None:
        matching = np.array([keywords.get(p, 0) for p in places], dtype=np.float32)
    combined = ranking.fuse(meaning, matching)
    order = np.lexsort((np.arange(len(places)), -combined))
    return [
        Found(
            places[number],
            float(combined[number]),
            similarity.get(places[number]),
            None if matched is None else keywords.get(places[number], 0.0),
            None,
            "",
        )
        for number in order
        if np.isfinite(combined[number])
    ]
