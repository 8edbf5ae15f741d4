"""The full-text table of a vault at a server, and its statements.

Its rows have the ids of the chunks. They are a table of their own because a row without a vector is
read five times as fast, and a word that stands in many passages makes the server read many rows.
The database fills in title and text itself, from the chunk and its content; engine 2 wants the
fields to be optional for that.
"""

# ruff: noqa: S608 - numbers, constants and checked hexadecimal ids; the rest are variables.

from collections.abc import Sequence

from menos_vault.records.schema import chunk_range

INDEX = "words_text"
TABLE = """
DEFINE TABLE IF NOT EXISTS words SCHEMAFULL;
DEFINE FIELD IF NOT EXISTS content ON words TYPE record<content>;
DEFINE FIELD IF NOT EXISTS chunk ON words TYPE record<chunk>;
DEFINE FIELD IF NOT EXISTS title ON words TYPE option<string> VALUE content.title ?? '';
DEFINE FIELD IF NOT EXISTS text ON words TYPE option<string> VALUE
    string::concat(content.title ?? '', '\\n', chunk.heading ?? '', '\\n', chunk.text ?? '');
DEFINE ANALYZER IF NOT EXISTS menos_words TOKENIZERS class
    FILTERS lowercase, ascii, snowball(english);
INFO FOR TABLE words
"""
COUNT = "SELECT count() FROM words GROUP ALL"


def define_index(keyword: str) -> str:
    """Return the definition of the index: FULLTEXT in engine 3, SEARCH in engine 2."""
    return (
        f"DEFINE INDEX IF NOT EXISTS {INDEX} ON words FIELDS text "
        f"{keyword} ANALYZER menos_words BM25"
    )


def insert(name: str) -> str:
    """Return the insertion of the rows in a variable; those that are there are filled in anew."""
    return f"INSERT INTO words ${name} ON DUPLICATE KEY UPDATE chunk = $input.chunk RETURN NONE; "


def delete(content_hash: str, first: int = 0) -> str:
    """Return the deletion of a content's rows from index `first` on."""
    return f"DELETE {chunk_range(content_hash, first, 'words')} RETURN NONE; "


def retitle(statement: str, content_hash: str) -> str:
    """Return the transaction that writes `$fields` of a content and its title into its rows."""
    rows = chunk_range(content_hash, table="words")
    return (
        f"BEGIN; {statement}; "
        f"UPDATE {rows} SET chunk = chunk WHERE title != $fields.title RETURN NONE; COMMIT"
    )


def frequencies(count: int) -> str:
    """Return the questions how many passages have `$t0`, `$t1` …."""
    return "; ".join(
        f"SELECT count() FROM words WHERE text @@ $t{number} GROUP ALL" for number in range(count)
    )


def match(count: int, phrases: Sequence[int], *, filtered: bool, limit: int | None) -> str:
    """Return the search for passages that have any of `$t0`, `$t1` …, the best first.

    One predicate per term, because the words of one predicate all have to be there. For those
    numbered in `phrases` their own scores and the texts are asked for, too.
    """
    numbers = range(count)
    score = " + ".join(_score(number) for number in numbers)
    either = " OR ".join(f"text @{number}@ $t{number}" for number in numbers)
    own = "".join(f", {_score(number)} AS s{number}" for number in phrases)
    return (
        f"SELECT id, {score} AS score{', text' if phrases else ''}{own} FROM words "
        f"WHERE ({either}){' AND content IN $contents' if filtered else ''} "
        f"ORDER BY score DESC, id{'' if limit is None else f' LIMIT {limit}'}"
    )


def _score(number: int) -> str:
    """Return one term's score; engine 2 goes below zero for what most passages have."""
    return f"math::max([search::score({number}), 0])"
