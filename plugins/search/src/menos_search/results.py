"""What the tasks return."""

from __future__ import annotations

from typing import NotRequired, cast

from typing_extensions import TypedDict

from menos_search.fields import Mode
from menos_search.links import link_to_second
from menos_search.moments import second_of
from menos_vault import Content, Hit, Passage


class Explanation(TypedDict):
    """How a result came to its place.

    ``combined`` decides. In a hybrid search a passage's own score is 0.65 × ``similarity`` + 0.35 ×
    ``keywords``, each divided by the best one of the whole search (similarities by 0.6 at least).
    Of the 64 best ones ``combined`` is half of that and half ``neighbours``, the mean score of
    those among them that are like it; of all others, which come after them, it is the own score. In
    any other search it is the one that the mode goes by.
    """

    mode: Mode
    combined: float
    similarity: float | None
    keywords: float | None
    neighbours: float | None


class PassageResult(TypedDict):
    """A further passage of a content."""

    text: str
    score: float
    highlights: list[list[int]]
    heading: NotRequired[str]
    start: NotRequired[float]
    second: NotRequired[float]
    url: NotRequired[str]
    explain: NotRequired[Explanation]


class Result(PassageResult):
    """A passage that was found; what is not known of it is absent.

    ``score`` is the cosine similarity with the query, -1 to 1; in a search by words alone it is
    BM25. ``start`` is the second at which the passage begins, ``second`` the one at which most
    words of the query are spoken, and to which ``url`` leads. ``highlights`` are pairs of begin and
    end in ``text``.
    """

    content_id: str
    title: str
    passages: NotRequired[list[PassageResult]]


class Found(TypedDict):
    """The result of a search: the query and the results, the best first."""

    query: str
    results: list[Result]


class Similar(TypedDict):
    """What is like a content: its id and the results, the best first."""

    content_id: str
    results: list[Result]


def result(hit: Hit, mode: Mode, *, by_content: bool, explain: bool) -> Result:
    """Make a result of a hit."""
    names = {"content_id": hit.content.id, "title": hit.content.title}
    made = cast("Result", {**names, **_passage(hit, hit.content, mode, explain)})
    if by_content:
        made["passages"] = [_passage(other, hit.content, mode, explain) for other in hit.others]
    return made


def _passage(passage: Passage, content: Content, mode: Mode, explain: bool) -> PassageResult:
    made: PassageResult = {
        "text": passage.chunk.text,
        "score": passage.score,
        "highlights": [[begin, end] for begin, end in passage.highlights],
    }
    if passage.chunk.heading is not None:
        made["heading"] = passage.chunk.heading
    second = second_of(content, passage.chunk, passage.highlights)
    if passage.chunk.start is not None and second is not None:
        made["start"], made["second"] = passage.chunk.start, second
    if content.url is not None:
        made["url"] = link_to_second(content.url, second)
    if explain:
        made["explain"] = {
            "mode": mode,
            "combined": passage.combined,
            "similarity": passage.similarity,
            "keywords": passage.keywords,
            "neighbours": passage.neighbours,
        }
    return made
