"""From a text to passages that the embedding model reads whole."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from menos_content.document import Document
from menos_content.token_counter import TokenCounter
from menos_vault import Chunk

_CHARS_PER_TOKEN: Final = 12
"""Characters that a token may have on average before a passage is no text that people read.

English has about 4.5. The model's tokenizer counts a run of letters of any length, such as
base64, as one unknown token, so a passage of few tokens could be as long as the whole text.
"""

_LONGEST_HEADINGS: Final = 200
"""Characters of headings that a passage may get in front."""


_OPENING: Final = re.compile(r"(?:[ \t]*#{1,6}(?:[ \t].*)?(?:\r\n|\r|\n)\s*)*")
"""The headings with which a passage begins."""


class _Passage(NamedTuple):
    offset: int
    text: str
    body: int
    """Where the words begin that its headings stand above."""


def chunk_document(
    document: Document, token_starts: Sequence[int], *, tokens: int, overlap: int
) -> list[Chunk]:
    """Split a text where its structure allows: at headings, paragraphs, sentences, words.

    Args:
        document: what to split.
        token_starts: where each token of the text begins, as the embedding model reads it.
        tokens: how many tokens a passage has at most, headings in front of it not counted.
        overlap: how many tokens it may share with the one before it.

    Returns:
        Passages in the order of the text, without the white space around them; together they hold
        every other character of it. Each knows its second if the text is spoken, and the headings
        above it if it is Markdown.
    """
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    kind = MarkdownSplitter if document.is_markdown else TextSplitter
    splitter = kind.from_callback(TokenCounter(document.text, token_starts), tokens, overlap)
    found = [
        _Passage(offset, passage, offset)
        for offset, passage in splitter.chunk_indices(document.text)
    ]
    if document.is_markdown:
        found = list(_with_headings(document.text, found))
    heading_at = _headings(document)
    longest = tokens * _CHARS_PER_TOKEN
    passages = [
        _Passage(
            passage.offset + start, passage.text[start : start + longest], passage.body + start
        )
        for passage in found
        for start in range(0, len(passage.text), longest)
    ]
    return [
        Chunk(
            index=index,
            text=passage.text,
            start=document.second_at(passage.offset),
            heading=heading_at(passage.body),
        )
        for index, passage in enumerate(passages)
    ]


def _with_headings(text: str, found: list[_Passage]) -> Iterator[_Passage]:
    """Put passages that are only headings, or the fence of a code block, in front of what follows.

    Alone they would be found before the passage that answers. A heading of usual length leaves the
    passage within what the model reads.
    """
    begin: int | None = None
    for place, (offset, passage, _) in enumerate(found):
        begin = offset if begin is None else begin
        opening = _OPENING.match(passage)
        body = offset + (opening.end() if opening else 0)
        whole = text[begin : offset + len(passage)]
        if place + 1 < len(found) and _only_opens(whole):
            continue
        yield _Passage(begin, whole, body)
        begin = None


def _only_opens(passage: str) -> bool:
    return len(passage) <= _LONGEST_HEADINGS and all(
        line.lstrip().startswith(("#", "```", "~~~"))
        for line in passage.splitlines()
        if line.strip()
    )


def _headings(document: Document) -> Callable[[int], str | None]:
    """What says of a character which headings stand above it; none unless it is Markdown."""
    found: list[tuple[int, str]] = []
    if document.is_markdown:
        from menos_content.markdown import headings

        found = headings(document.text)

    def heading_at(offset: int) -> str | None:
        place = bisect.bisect_right(found, offset, key=lambda heading: heading[0])
        return found[place - 1][1] if place else None

    return heading_at
