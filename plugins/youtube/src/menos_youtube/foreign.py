"""Reading data that others have made: what is missing or of another type is left out.

None of these functions raises, whatever comes.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from menos_vault.records.fields import is_blank

_JOINERS: Final = frozenset("\u200c\u200d\u2060" + "".join(map(chr, range(0xE0020, 0xE0080))))
"""Nothing is seen of them, but between the letters of a Persian word, the people of a
family emoji or in a flag they make another picture than a space does."""


def one_line(text: str) -> str:
    """A text without line ends, control characters and outer spaces."""
    kept = (c if c.isprintable() or c in _JOINERS else " " for c in text)
    return " ".join("".join(kept).split())


def object_in(raw: bytes) -> dict[str, Any] | None:
    """A JSON object; ``None`` if it is none."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def as_object(raw: bytes) -> dict[str, Any]:
    """A JSON object; an empty one if it is none."""
    return object_in(raw) or {}


def part_of(value: object, name: str) -> dict[str, Any]:
    """An object inside another; an empty one if there is none."""
    part = value.get(name) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else {}


def objects_of(value: object, name: str) -> list[dict[str, Any]]:
    """The objects of a list inside an object."""
    found = value.get(name) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text_of(part: dict[str, Any], name: str, *, keep_lines: bool = False) -> str | None:
    """A text that databases can hold, on one line unless its lines are to be kept.

    One of which nothing is seen is none.
    """
    value = part.get(name)
    if not isinstance(value, str) or is_blank(value):
        return None
    return storable(value).strip() if keep_lines else one_line(value)


def texts_of(part: dict[str, Any], name: str) -> list[str]:
    """The texts of a list."""
    value = part.get(name)
    texts = value if isinstance(value, list) else []
    return [storable(text) for text in texts if isinstance(text, str)]


def storable(text: str) -> str:
    """A text without halves of characters and zeros, which JSON can hold and databases cannot."""
    return text.replace("\0", "").encode(errors="replace").decode()


def number_of(part: dict[str, Any], name: str) -> int | None:
    """A whole number that is written as text, as YouTube sends those of 64 bits."""
    value = part.get(name)
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else None
