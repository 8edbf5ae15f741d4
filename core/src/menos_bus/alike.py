"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_LIKENESS: Final = 0.7
"""Of 1, from which on a name is offered: common beginnings such as ``tasks.`` are not enough."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'greet'?``, to be set behind what is wrong; empty if no name is like it."""
    found = get_close_matches(name.lower(), list(known), n=1, cutoff=_LIKENESS)
    return f"; did you mean {found[0]!r}?" if found else ""
