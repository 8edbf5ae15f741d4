"""From a text to passages that the embedding model reads whole."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from menos_content.document import Document
from menos_vault import Chunk

if TYPE_CHECKING:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

_CHARS_PER_TOKEN: Final = 12
"""Characters that a token may have on average before a passage is no text that people read.

English has about 4.5. The model's tokenizer counts a run of letters of any length, such as
base64, as one unknown token, so a passage of few tokens could be as long as the whole text.
"""

_LONGEST_HEADING: Final = 200


def chunk_document(
    document: Document, *, tokenizer_json: str, tokens: int, overlap: int
) -> list[Chunk]:
    """Split a text where its structure allows: at headings, paragraphs, sentences, words.

    Args:
        document: what to split.
        tokenizer_json: the embedding model's tokenizer, in the format of ``tokenizers``.
        tokens: how many tokens a passage has at most.
        overlap: how many tokens it may share with the one before it.

    Returns:
        Passages in the order of the text, without the white space around them; together they hold
        every other character of it. Each knows its second if the text is spoken, and the headings
        above it if it is Markdown.
    """
    splitter = _splitter(document.is_markdown, tokenizer_json, tokens, overlap)
    longest = tokens * _CHARS_PER_TOKEN
    heading_at = _headings(document) if document.is_markdown else lambda offset: None
    found = splitter.chunk_indices(document.text)
    if document.is_markdown:
        found = list(_with_headings(document.text, found))
    passages = [
        (offset + start, passage[start : start + longest])
        for offset, passage in found
        for start in range(0, len(passage), longest)
    ]
    return [
        Chunk(
            index=index,
            text=passage,
            start=document.second_at(offset),
            heading=heading_at(offset),
        )
        for index, (offset, passage) in enumerate(passages)
    ]


def _splitter(
    markdown: bool, tokenizer_json: str, tokens: int, overlap: int
) -> MarkdownSplitter | TextSplitter:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    splitter = MarkdownSplitter if markdown else TextSplitter
    return splitter.from_huggingface_tokenizer_str(tokenizer_json, tokens, overlap)


def _with_headings(text: str, found: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Put passages that are only headings in front of what they stand above.

    Alone they would be found before the passage that answers. A heading of usual length leaves the
    passage within what the model reads.
    """
    pending: int | None = None
    for place, (offset, passage) in enumerate(found):
        if place + 1 < len(found) and _only_headings(passage):
            pending = offset if pending is None else pending
            continue
        if pending is not None:
            offset, passage = pending, text[pending : offset + len(passage)]
            pending = None
        yield offset, passage


def _only_headings(passage: str) -> bool:
    return len(passage) <= _LONGEST_HEADING and all(
        line.startswith("#") for line in passage.splitlines() if line.strip()
    )


def _headings(document: Document) -> Callable[[int], str | None]:
    from menos_content.markdown import headings

    found = headings(document.text)

    def heading_at(offset: int) -> str | None:
        place = bisect.bisect_right(found, offset, key=lambda heading: heading[0])
        return found[place - 1][1] if place else None

    return heading_at
