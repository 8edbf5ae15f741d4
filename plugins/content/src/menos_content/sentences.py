"""From a text to the sentences that a summary may be made of."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Final

from menos_content.document import Document

_WINDOW: Final = 5000
"""Characters that are looked at in one go. Finding sentence ends costs quadratic time in texts with
many unmatched quotes; in windows of this size that is never felt."""

_LONGEST: Final = 300
"""Characters of a sentence. What has more, such as a transcript without full stops, is cut between
words."""

_SHORTEST: Final = 25
"""Bytes below which a sentence says too little to stand in a summary ("Yes!", "Figure 3."): a sign
of Chinese says as much as three letters, and has three bytes."""


def sentences(document: Document) -> list[str]:
    """The text's sentences, each once, on one line, in the order of the text.

    Short ones are left out unless there are no others. Of Markdown only paragraphs count.
    """
    found = list(dict.fromkeys(_all(document)))
    return [sentence for sentence in found if len(sentence.encode()) >= _SHORTEST] or found


def _all(document: Document) -> Iterator[str]:
    from sentencex import segment  # type: ignore[import-untyped]

    language = (document.content.language or "en").partition("-")[0].lower()
    for window in _windows(document):
        for sentence in segment(language, window):
            yield from textwrap.wrap(sentence, _LONGEST, break_on_hyphens=False)


def _windows(document: Document) -> Iterator[str]:
    if document.is_markdown:
        from menos_content.markdown import paragraphs

        blocks = paragraphs(document.text) or [document.text]
    else:
        blocks = re.split(r"(?:\r\n|\r|\n)\s*(?:\r\n|\r|\n)", document.text)
    for block in blocks:
        line = " ".join(block.split())
        start = 0
        while start < len(line):
            end = start + _WINDOW
            if end < len(line):
                # A window ends between words where there are any.
                end = max(line.rfind(" ", start, end), start) + 1 if " " in line[start:end] else end
            yield line[start:end]
            start = end
