"""What a Markdown text says of its structure, by the CommonMark rules."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_SEPARATOR: Final = " › "
_LONGEST_PATH: Final = 500


def headings(text: str) -> list[tuple[int, str]]:
    """Find the headings.

    Returns:
        ``(offset, path)`` in the order of the text: the character at which the heading's line
        begins, and the heading with those above it: ``"Guide › Installation"``.
    """
    ends = [match.end() for match in _LINE_END.finditer(text)]
    line_starts = [0, *ends]
    found = []
    above: list[tuple[int, str]] = []
    tokens = _blocks().parse(text)
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.map and content.content:
            level = int(token.tag[1:])
            above = [heading for heading in above if heading[0] < level]
            above.append((level, plain(content.content)))
            path = _SEPARATOR.join(title for _, title in above)
            found.append((line_starts[token.map[0]], path[:_LONGEST_PATH]))
    return found


def paragraphs(text: str) -> list[str]:
    """The text's paragraphs as they are written: no headings, tables, code blocks or HTML."""
    tokens = _blocks().parse(text)
    return [
        content.content
        for token, content in pairwise(tokens)
        if token.type == "paragraph_open" and content.content
    ]


def plain(inline: str) -> str:
    """The words of a line of Markdown without its marks: ``*so*`` is ``so``, a link its text."""
    from markdown_it import MarkdownIt

    words = []
    for token in MarkdownIt("commonmark").parseInline(inline)[0].children or []:
        if token.type in ("text", "code_inline"):
            words.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            words.append(" ")
    return " ".join("".join(words).split())


def _blocks() -> MarkdownIt:
    """A parser that looks at blocks only: what stands inside them costs most of the time."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.disable(["inline"])
    return parser
