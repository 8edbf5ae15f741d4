"""The task of the plugin ``search``. Nothing heavy is imported before it runs."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from menos_search.links import link_to_second
from menos_search.search import search
from menos_vault import Hit, open_vault


class Result(TypedDict):
    """A passage that was found; ``start`` and ``url`` are absent where they are not known.

    ``score`` is the cosine similarity with the query, -1 to 1; ``start`` is in seconds.
    """

    content_id: str
    title: str
    text: str
    score: float
    start: NotRequired[float]
    url: NotRequired[str]


class Found(TypedDict):
    """The result of :func:`semantic_search`: the query and the passages, the best first."""

    query: str
    results: list[Result]


def semantic_search(
    query: Annotated[
        str,
        StringConstraints(min_length=1, max_length=2000, strip_whitespace=True),
        Field(description="What to look for, as a question or in a few words."),
    ],
    limit: Annotated[int, Field(ge=1, le=100, description="Passages to return at most.")] = 10,
) -> Found:
    """Find the passages that are nearest in meaning to the query, the best first.

    An empty vault has no results; that is no error. The ``url`` of a passage of a YouTube video
    leads to its second.

    Raises:
        EmbeddingMismatch: the vault's vectors are of another model (``embedding_mismatch``).
        VaultError: the model or the vault could not do it; its code says why.
    """
    return {"query": query, "results": [_result(hit) for hit in search(open_vault(), query, limit)]}


def _result(hit: Hit) -> Result:
    result: Result = {
        "content_id": hit.content.id,
        "title": hit.content.title,
        "text": hit.chunk.text,
        "score": hit.score,
    }
    if hit.chunk.start is not None:
        result["start"] = hit.chunk.start
    if hit.content.url is not None:
        result["url"] = link_to_second(hit.content.url, hit.chunk.start)
    return result
