"""Scripts that put no spaces between words: Chinese, Japanese, Thai and their like; Korean, too,
whose words carry their endings.

No dictionary cuts them into words here. What stands for a word is any two letters in a row, as in
Lucene's CJKBigramFilter: a query finds the texts that have the same pairs.
"""

import re
from collections.abc import Iterator

LETTERS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f"  # Kana
    "\uac00-\ud7a3"  # Hangul
)
"""They, in a class of a regular expression."""

_RUN = re.compile(rf"[{LETTERS}](?:\s*[{LETTERS}])*")  # lines of such text end anywhere
_RUN_OR_WORD = re.compile(f"[{LETTERS}]+|[^{LETTERS}]+")
_LETTER = re.compile(f"[{LETTERS}]")
_BREAK = "\u2063"  # no letter to any tokenizer


def unspaced(text: str) -> bool:
    """Tell whether there are letters of such a script in a text."""
    return _RUN.search(text) is not None


def parts(word: str) -> Iterator[str]:
    """Yield what stands between two spaces, cut where such a script begins or ends."""
    return (found[0] for found in _RUN_OR_WORD.finditer(word))


def pairs(part: str) -> list[str]:
    """Return what stands for the words of one such part: its pairs, or all of it."""
    if len(part) < 3 or not unspaced(part):
        return [part]
    return [part[place : place + 2] for place in range(len(part) - 1)]


def as_words(term: str) -> str:
    """Return what stands for the words of a word or phrase."""
    return " ".join(pair for part in term.split() for pair in pairs(part))


def closed(text: str) -> str:
    """Return a text without what space there is between two such letters."""
    return _RUN.sub(lambda run: "".join(run[0].split()), text)


def paired(text: str) -> str:
    """Return a text with spaces between its pairs, each run followed by its last letter.

    So every letter begins a word, by which it is found when it is asked for alone.
    """
    return _RUN.sub(lambda run: f" {' '.join(_windows(''.join(run[0].split())))} ", text)


def _windows(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run))]


def apart(text: str) -> str:
    """Return a text in which every letter of such a script is a word; `together` undoes it."""
    return _LETTER.sub(f"{_BREAK}\\g<0>{_BREAK}", text)


def together(text: str) -> str:
    """Return the text that `apart` was given, if it had no such break itself."""
    return text.replace(_BREAK, "")
