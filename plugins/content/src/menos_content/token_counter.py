"""How many tokens parts of a text have, for a splitter."""

from __future__ import annotations

import bisect
from collections.abc import Sequence


class TokenCounter:
    """Counts the tokens of parts of a text, of which a splitter asks for ten a passage.

    A tokenizer would read each of them anew, which took half as long as to embed the text.
    """

    def __init__(self, text: str, token_starts: Sequence[int]) -> None:
        """Take the text, and where each of its tokens begins."""
        self._text = text
        self._starts = token_starts
        self._near = 0

    def __call__(self, part: str) -> int:
        """Count those of a part of it."""
        begin = self._text.find(part, self._near)
        if begin < 0:
            begin = self._text.find(part)
        # Splitters go on, or back a little. The same words may stand elsewhere, too, but they have
        # as many tokens there.
        self._near = max(0, begin - len(part))
        first = max(0, bisect.bisect_right(self._starts, begin) - 1)  # it may begin inside of one
        return bisect.bisect_left(self._starts, begin + len(part), lo=first) - first
