"""Where the words of a query stand in the texts that it found."""

import re
from collections.abc import Sequence

from menos_vault.records.index import words
from menos_vault.records.sheet import sheet

_MARKS = ("\ue000", "\ue001")  # of Unicode's private use
_MARK = re.compile(f"([{''.join(_MARKS)}])")


def highlights(query: str, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Return of each text where words and phrases of the query begin and end, in their order.

    The texts are looked at by themselves: to ask an index for the words of some of its passages
    takes three times as long, and with a long query thirty times.
    """
    asked = words.worth_marking(words.terms(query))
    if not asked or not texts:
        return [[] for _ in texts]
    with sheet(texts) as made:
        marked = made.marked(asked, _MARKS)
    return [_places(marked.get(number, ""), text) for number, text in enumerate(texts)]


def _places(marked: str, text: str) -> list[tuple[int, int]]:
    """Nothing if the text has such marks of its own."""
    found: list[tuple[int, int]] = []
    plain: list[str] = []
    begin = place = 0
    for part in _MARK.split(marked):
        if part == _MARKS[0]:
            begin = place
        elif part == _MARKS[1]:
            found.append((begin, place))
        else:
            plain.append(part)
            place += len(part)
    return found if "".join(plain) == text else []
