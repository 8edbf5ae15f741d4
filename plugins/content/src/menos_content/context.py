"""What a passage is about, said in front of it for the embedding model.

A passage out of the middle of a text often does not say what it is about; its title and headings
do. They are embedded with it, and never part of what is shown.
"""

from __future__ import annotations

from typing import Final

from menos_vault import Chunk

_LONGEST: Final = 160
"""Characters of context: some 40 tokens, so that the model reads it and the passage whole."""


def with_context(chunk: Chunk, title: str) -> str:
    """The text to embed: title and headings, as far as they are not its beginning anyway."""
    start = chunk.text.lstrip("# \t")
    lines: list[str] = []
    for words in (title.strip(), chunk.heading or ""):
        if words and not start.startswith(words) and not any(words in line for line in lines):
            # A path of headings often begins with the title.
            lines = [line for line in lines if line not in words]
            lines.append(words[:_LONGEST])
    context = "\n".join(lines)[:_LONGEST]
    return f"{context}\n{chunk.text}" if context else chunk.text
