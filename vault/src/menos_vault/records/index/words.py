"""From what somebody types to a full-text query of SQLite's FTS5."""

import re
from collections import Counter
from collections.abc import Callable, Iterable

from menos_vault.records import scripts

TOKENIZER = "porter unicode61 remove_diacritics 2 categories 'L* M* N* Co'"
"""Words without case and accents, English endings cut off. Marks are parts of words, as vowels are
in Hindi and Thai."""

_MOST_TERMS = 128  # with twice as many, whole texts as queries found nothing better
_MOST_TIMES = 8  # that a word counts: the work of a search grows with it
LARGE = 1000  # passages from which on it is worth to look for words that stand everywhere
_VISITS = 20_000  # passages that the words of a query may have together, each counted for itself
# Words of English up to three letters, and what is left of `it's` and `don't`.
_ENGLISH = (
    "a all am an and any are as at be but by can did do for get got had has he her him his how i "
    "if in is it its me my no nor not of off on or our out own s she so t the to too up us was we "
    "who why you d m ll re ve"
)
# The most common ones of German, French and Spanish that are no other words in English.
_OTHERS = (
    "auf das dem den der ein für im ist und von zu de des du est les par que qui sur une del las "
    "los por una y"
)
_SAY_NOTHING = frozenset([*_ENGLISH.split(), *_OTHERS.split()])
_QUOTES = '"“”„«»'  # also as word processors and telephones make them
# To Python marks are no parts of words: these are those of Europe, the Near East and India.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0966-\u0dff"
)
_WORD = rf"[\w{_MARKS}{scripts.LETTERS}]+"
_TERM = re.compile(rf"[{_QUOTES}]([^{_QUOTES}]+)[{_QUOTES}]|({_WORD})")


def terms(query: str) -> Counter[str]:
    """Return the words of a query, and what stands in quotation marks as one phrase.

    Each with how often it is there, up to eight times: who says a word three times means it. None
    of them is ever read as an operator of the query language. Of scripts without spaces the pairs
    of letters are words.
    """
    found: list[str] = []
    for phrase, word in _TERM.findall(query.lower()):
        words = re.findall(_WORD, scripts.closed(phrase) or word)
        parts = [part for word in words for part in scripts.parts(word)]
        if not phrase:
            found += [pair for part in parts for pair in scripts.pairs(part)]
        elif parts:
            found.append(" ".join(parts))
    counts = Counter(found)
    first = list(dict.fromkeys(found))[:_MOST_TERMS]
    return Counter({term: min(counts[term], _MOST_TIMES) for term in first})


def telling(asked: Counter[str], frequency: Callable[[str], int], passages: int) -> Counter[str]:
    """Leave out the words of a query that say least, if the vault is large.

    Those that stand in more than half of all passages go, since BM25 gives them no weight; and then
    the most common ones, until no more than `_VISITS` passages have to be looked at. So the work
    does not grow with the vault for ever. If there are no others, all stay.
    """
    if passages < LARGE:
        return asked
    counts = {term: frequency(term) for term in asked}
    kept: set[str] = set()
    visits = 0
    for term in sorted(asked, key=lambda term: counts[term]):
        more = counts[term] * asked[term]
        if 2 * counts[term] > passages or (visits and visits + more > _VISITS):
            break
        kept.add(term)
        visits += more
    return Counter({term: asked[term] for term in asked if term in kept}) if visits else asked


def worth_marking(asked: Iterable[str]) -> list[str]:
    """Leave out the short words that say nothing, such as `the`, if there are others: not `ai`."""
    found = list(asked)
    return [term for term in found if term not in _SAY_NOTHING] or found


def expression(asked: Iterable[str]) -> str:
    """Return the FTS5 expression that texts with any of these words satisfy, if `paired`.

    Its BM25 adds up the score of each; a word that is given twice counts twice.
    """
    return " OR ".join(map(_phrase, asked))


def _phrase(term: str) -> str:
    words = scripts.paired(term)
    last = term.rpartition(" ")[2]
    if not scripts.unspaced(last):
        return f'"{words}"'
    # In texts more may follow than was asked for: another pair, or the second letter of this one.
    return f'"{words}" *' if len(last) == 1 else f'"{words.rsplit(maxsplit=1)[0]}"'
