"""From what somebody types to a full-text query of SQLite's FTS5."""

import re
from collections.abc import Callable, Sequence

TOKENIZER = "porter unicode61 remove_diacritics 2"
"""Words without case and accents, English endings cut off."""

_MOST_TERMS = 64
LARGE = 1000  # passages from which on it is worth to look for words that stand everywhere
_VISITS = 20_000  # passages that the words of a query may have together, each counted for itself
_TERM = re.compile(r'"([^"]+)"|(\w+)')


def terms(query: str) -> list[str]:
    """Return the words of a query, each once, and what stands in quotation marks as one phrase.

    None of them is ever read as an operator of the query language.
    """
    found = []
    for phrase, word in _TERM.findall(query.lower()):
        words = re.findall(r"\w+", phrase or word)
        if words:
            found.append(" ".join(words))
    return list(dict.fromkeys(found))[:_MOST_TERMS]


def telling(found: Sequence[str], frequency: Callable[[str], int], passages: int) -> list[str]:
    """Leave out the words of a query that say least, if the vault is large.

    Those that stand in more than half of all passages go, since BM25 gives them no weight; and then
    the most common ones, until no more than `_VISITS` passages have to be looked at. So the work
    does not grow with the vault for ever. If there are no others, all stay.
    """
    if passages < LARGE:
        return list(found)
    counts = {term: frequency(term) for term in found}
    kept: set[str] = set()
    visits = 0
    for term in sorted(found, key=lambda term: counts[term]):
        if 2 * counts[term] > passages or (visits and visits + counts[term] > _VISITS):
            break
        kept.add(term)
        visits += counts[term]
    return [term for term in found if term in kept] if visits else list(found)


def long(found: Sequence[str]) -> list[str]:
    """Leave out the words of up to three letters, if there are others: most of them say nothing."""
    return [term for term in found if len(term) > 3] or list(found)


def expression(found: Sequence[str]) -> str:
    """Return the FTS5 expression that any of these words satisfies."""
    return " OR ".join(f'"{term}"' for term in found)
