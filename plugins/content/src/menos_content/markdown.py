"""What a Markdown text says of its structure, by the CommonMark rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it.token import Token

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_FRONT_MATTER: Final = re.compile(
    r"\A---[ \t]*\r?\n(?=(?:#.*\n)*[\w\"'-]+[ \t]*:)"  # a key: not a heading between two rules
    r"(?:(?!---|\.\.\.).*\n)*(?:---|\.\.\.)[ \t]*\r?$",
    re.MULTILINE,
)
"""YAML before a text. To CommonMark it is text, and its last line makes a heading of it."""
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
    for line, level, words in _headings(text):
        above = [heading for heading in above if heading[0] < level]
        above.append((level, words))
        path = _SEPARATOR.join(title for _, title in above)
        found.append((line_starts[line], path[:_LONGEST_PATH]))
    return found


def title(text: str) -> str:
    """The text's first heading of the first level; empty if it has none."""
    return next((words for _, level, words in _headings(text) if level == 1), "")


def paragraphs(text: str) -> list[str]:
    """The text's paragraphs as they are written: no headings, tables, code blocks or HTML."""
    return [
        content.content
        for token, content in pairwise(_blocks(text))
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


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Line, level and words of each heading."""
    for token, content in pairwise(_blocks(text)):
        if token.type == "heading_open" and token.map and content.content:
            yield token.map[0], int(token.tag[1:]), plain(content.content)


def _blocks(text: str) -> list[Token]:
    """The blocks only: what stands inside them costs most of the time. Front matter is none."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.disable(["inline"])
    # Lines stay lines, so that each has its number.
    return parser.parse(_FRONT_MATTER.sub(_as_blank_lines, text))


def _as_blank_lines(found: re.Match[str]) -> str:
    return "\n" * len(_LINE_END.findall(found[0]))
