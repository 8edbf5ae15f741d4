"""Text files as lines for ``tasks.import_content``: read by the command, never by a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from menos_content.fields import LONGEST_TEXT
from menos_vault.records.fields import is_blank

TYPES: Final = {".md": "markdown", ".markdown": "markdown", ".txt": "text", ".rst": "text"}
"""What is a text file, by the end of its name, and the content type that it gets."""
_LONGEST_TITLE: Final = 500


class LeftOut(Exception):
    """A file that is not stored; the text says why."""


def files_of(path: Path) -> Iterator[Path]:
    """The file itself, or all files of a folder and those in it, but for hidden ones."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.is_file() and not hidden:
            yield file


def line_of(file: Path) -> dict[str, Any]:
    """What a text file says, to be stored under its place.

    Raises:
        LeftOut: it is no text file, empty, too long, or cannot be read.
    """
    content_type = TYPES.get(file.suffix.lower())
    if content_type is None:
        raise LeftOut(f"no text file ({', '.join(TYPES)})")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LeftOut("not UTF-8 text: convert it") from None
    except OSError as error:
        raise LeftOut(error.strerror or str(error)) from None
    if is_blank(text):
        raise LeftOut("empty")
    if len(text) > LONGEST_TEXT:
        raise LeftOut(f"more than {LONGEST_TEXT:,} characters: split it")
    return {
        "resource_key": f"file:{file.resolve().as_posix()}",
        "title": (_title(text, content_type) or file.name)[:_LONGEST_TITLE],
        "text": text,
        "content_type": content_type,
    }


def _title(text: str, content_type: str) -> str:
    if content_type == "markdown":
        from menos_content.markdown import title

        found = title(text)
    else:
        first = next((line for line in text.splitlines() if line.startswith("# ")), "")
        found = first.removeprefix("# ").strip()
    return "" if is_blank(found) else found
