"""From a text to the sentences that a summary may be made of."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Final

from menos_content.document import Document

_HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]")

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

    Short ones are left out unless there are no others. Of Markdown only the words of paragraphs
    count, without its marks, and of any text no line that is a heading of it.
    """
    found = list(dict.fromkeys(_all(document)))
    return [sentence for sentence in found if len(sentence.encode()) >= _SHORTEST] or found


def _all(document: Document) -> Iterator[str]:
    from sentencex import segment  # type: ignore[import-untyped]

    from menos_content.markdown import plain

    language = (document.content.language or "en").partition("-")[0].lower()
    for window in _windows(document):
        # Before it is cut: the two signs of a mark, or of a link, may stand in two sentences.
        for sentence in segment(language, plain(window) if document.is_markdown else window):
            yield from textwrap.wrap(sentence, _LONGEST, break_on_hyphens=False)


def _blocks(document: Document) -> list[str]:
    """What stands together: the paragraphs, or what blank lines and headings part."""
    if document.is_markdown:
        from menos_content.markdown import paragraphs

        if found := paragraphs(document.text):
            return found
    blocks: list[list[str]] = [[]]
    for line in document.text.splitlines():
        if not line.strip() or _is_heading(line, begins=not blocks[-1]):
            blocks.append([])
        else:
            blocks[-1].append(line)
    return [" ".join(lines) for lines in blocks]


def _is_heading(line: str, *, begins: bool) -> bool:
    """Whether a line is a heading as Markdown has it, in a text that may be none.

    One ``#`` may be a sign for a number as well, as in "# 1 in the charts": it makes a heading
    where the line begins a block, and does not end as a sentence, or a part of one, does.
    """
    line = line.rstrip()
    heading = _HEADING.match(line)
    if heading is None or len(heading[1]) > 1:
        return heading is not None
    return begins and not line.endswith((".", ",", ";"))


def _windows(document: Document) -> Iterator[str]:
    for block in _blocks(document):
        line = " ".join(block.split())
        start = 0
        while start < len(line):
            end = start + _WINDOW
            if end < len(line):
                # A window ends between words where there are any.
                end = max(line.rfind(" ", start, end), start) + 1 if " " in line[start:end] else end
            yield line[start:end]
            start = end
