"""The statements of searches at a server: by words, by meaning, and what filters pass.

`words` is the full-text table. Its rows have the ids of the chunks. They are a table of their own
because a row without a vector is read five times as fast, and a word that stands in many passages
makes the server read many rows. The database fills in title and text itself, from the chunk and its
content; engine 2 wants the fields to be optional for that.

Of a text in a script without spaces (see `records.scripts`) `pairs` has what takes the place of
words, and `text`, below the text, all else that is in it. The analyzer of `text` would turn its
letters into Latin ones, by their sound.

`writer` has one row per content. Whoever writes a content's title or its words, or deletes it,
writes this row as well. Each of them reads what the other one writes, which to the database is no
conflict; without that row both would succeed, and old titles or words without a content remain.
"""

# ruff: noqa: S608 - numbers, constants and checked hexadecimal ids; the rest are variables.

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from menos_vault.records import scripts
from menos_vault.records.schema import OF_HIT, chunk_range, where

BORDER = "\n\ue000\n"
"""A word of its own to the tokenizer, that no query has."""
TABLE = "DEFINE TABLE IF NOT EXISTS words SCHEMAFULL; INFO FOR TABLE words"
INDEXES = {"words_text": ("text", "menos_words"), "words_pairs": ("pairs", "menos_pairs")}
"""The full-text indexes: of which field, by which analyzer."""
FIELDS = """
DEFINE ANALYZER IF NOT EXISTS menos_words TOKENIZERS class
    FILTERS lowercase, ascii, snowball(english);
DEFINE ANALYZER IF NOT EXISTS menos_pairs TOKENIZERS blank FILTERS lowercase;
DEFINE FIELD IF NOT EXISTS content ON words TYPE record<content>;
DEFINE FIELD IF NOT EXISTS chunk ON words TYPE record<chunk>;
DEFINE FIELD IF NOT EXISTS title ON words TYPE option<string> VALUE content.title ?? '';
DEFINE FIELD IF NOT EXISTS text ON words TYPE option<string>;
DEFINE FIELD IF NOT EXISTS pairs ON words TYPE option<string>;
DEFINE TABLE IF NOT EXISTS writer SCHEMALESS
"""
_ALL = "string::concat(content.title ?? '', '\\n', chunk.heading ?? '', '\\n', chunk.text ?? '')"
VALUES = f"""
DEFINE FUNCTION OVERWRITE fn::menos_words($text: string) {{
    IF !string::matches($text, /[{scripts.LETTERS}]/) {{ RETURN $text }};
    RETURN string::concat($text, '{BORDER}', string::replace($text, /[{scripts.LETTERS}]+/, ' '))
}};
DEFINE FUNCTION OVERWRITE fn::menos_pairs($text: string) {{
    IF !string::matches($text, /[{scripts.LETTERS}]/) {{ RETURN NONE }};
    LET $closed = string::replace($text, /\\s+/, '');
    LET $letters = string::split(string::replace($closed, /[^{scripts.LETTERS}]+/, ' '), '');
    LET $pairs = array::map(array::windows($letters, 2), |$pair| array::join($pair, ''));
    RETURN array::join(array::concat($letters, $pairs), '\\n')
}};
DEFINE FIELD OVERWRITE text ON words TYPE option<string> VALUE fn::menos_words({_ALL});
DEFINE FIELD OVERWRITE pairs ON words TYPE option<string> VALUE fn::menos_pairs({_ALL})
"""
"""After the indexes: engine 2 fills in all rows when it makes one, and leaves the others as they
are."""
UNPAIRED = (
    "SELECT VALUE id FROM words "
    f"WHERE pairs = NONE AND string::matches(text ?? '', /[{scripts.LETTERS}]/)"
)
"""The rows of an earlier release that lack their pairs. The others, with their index, stay as they
are: to write all of them anew is work of minutes to engine 2."""
COUNT = "SELECT count() FROM words GROUP ALL"
FILLED = "SELECT VALUE filled FROM vault:words"
SET_FILLED = "UPSERT vault:words SET filled = true RETURN NONE"


def define_index(name: str, keyword: str) -> str:
    """Return the definition of an index: FULLTEXT in engine 3, SEARCH in engine 2."""
    field, analyzer = INDEXES[name]
    return (
        f"DEFINE INDEX IF NOT EXISTS {name} ON words FIELDS {field} "
        f"{keyword} ANALYZER {analyzer} BM25"
    )


def take_turn(content_hashes: Iterable[str]) -> str:
    """Return the statement that lets nobody else write the contents in the same moment."""
    return f"UPSERT {_writers(content_hashes)} SET turn = rand::ulid() RETURN NONE"


def _writers(content_hashes: Iterable[str]) -> str:
    return ", ".join(f"writer:`{content_hash}`" for content_hash in content_hashes)


INSERT = (
    "INSERT INTO words (SELECT * FROM $words WHERE record::exists(chunk)) "
    "ON DUPLICATE KEY UPDATE chunk = $input.chunk RETURN NONE"
)
"""Rows that are there already are filled in anew. Chunks that another writer has removed meanwhile
get none: they would be found by their content's title, and stand for no passage."""


def delete(counts: Mapping[str, int]) -> str:
    """Return the deletion of contents' rows from these indexes on."""
    rows = ", ".join(
        chunk_range(content_hash, first, "words") for content_hash, first in counts.items()
    )
    return f"DELETE {rows} RETURN NONE"


def leave(content_hash: str) -> str:
    """Return the deletion of a content's row in `writer`."""
    return f"DELETE {_writers([content_hash])} RETURN NONE"


_RETITLED = 100
"""Rows that get a new title in one transaction: to engine 2 each is work of up to 50 ms, and its
client gives up after 30 s."""


def retitle(content_hashes: Sequence[str]) -> list[str]:
    """Return the statements that give rows of contents the titles that these have now.

    The turn is taken, and it is noted whether there are more such rows: the last statement answers
    with the rows of `writer` of those contents. A content may not exist; it has no row after that.
    """
    most = _RETITLED // len(content_hashes)
    each = [statement for one in content_hashes for statement in _retitle(one, most)]
    return [*each, f"SELECT VALUE id FROM {_writers(content_hashes)} WHERE outdated = true"]


def _retitle(content_hash: str, most: int) -> list[str]:
    rows = chunk_range(content_hash, table="words")
    content = f"content:`{content_hash}`"
    return [
        f"LET $title = {content}.title",
        f"LET $outdated = (SELECT VALUE id FROM {rows} WHERE title != $title)",
        f"LET $some = array::slice($outdated, 0, {most})",
        "UPDATE $some SET chunk = chunk RETURN NONE",
        f"IF record::exists({content}) {{ UPSERT {_writers([content_hash])} "
        f"SET turn = rand::ulid(), outdated = array::len($outdated) > {most} RETURN NONE }} "
        f"ELSE {{ {leave(content_hash)} }}",
    ]


OUTDATED = "SELECT VALUE id FROM writer WHERE outdated = true"
"""Contents whose new title did not reach all of their rows."""


Field = Literal["text", "pairs"]


def frequencies(fields: Sequence[Field]) -> str:
    """Return the questions how many passages have `$t0`, `$t1` … in these fields."""
    return "; ".join(
        f"SELECT count() FROM words WHERE {field} @@ $t{number} GROUP ALL"
        for number, field in enumerate(fields)
    )


class Predicate(NamedTuple):
    """What a passage may have."""

    field: Field
    words: str
    times: int = 1
    """How often its score counts."""
    any_word: bool = False
    """Whether one of the words is enough; else all have to be there."""
    phrase: str | None = None
    """What really has to be there."""


KNOWS_ANY_WORD = "SELECT id FROM words WHERE text @0,OR@ 'a' LIMIT 1"
"""A question that only engine 3 understands, as it does predicates with `any_word`."""


def match(
    predicates: Sequence[Predicate], own: Sequence[int], *, filtered: bool, limit: int | None
) -> str:
    """Return the search for passages that any predicate holds for, the best first.

    The predicates' words are `$t0`, `$t1` …. For those numbered in `own` their own scores and the
    passages' titles and texts are asked for, too.
    """
    # A list, since neither engine adds up so many terms one by one.
    score = ", ".join(_score(number, one.times) for number, one in enumerate(predicates))
    either = _either(
        [
            f"{one.field} @{number}{',OR' if one.any_word else ''}@ $t{number}"
            for number, one in enumerate(predicates)
        ]
    )
    scores = "".join(f", {_score(number, predicates[number].times)} AS s{number}" for number in own)
    return (
        f"SELECT id, math::sum([{score}]) AS score{', title, text' if own else ''}{scores} "
        f"FROM words WHERE {either}{' AND content IN $contents' if filtered else ''} "
        f"ORDER BY score DESC, id{'' if limit is None else f' LIMIT {limit}'}"
    )


def _either(conditions: Sequence[str]) -> str:
    """Join conditions by OR, in pairs of pairs: no engine takes a row of more than some hundred."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({_either(conditions[:half])} OR {_either(conditions[half:])})"


def _score(number: int, times: int) -> str:
    """Return a predicate's score; engine 2 goes below zero for words that most passages have."""
    return f"{times} * math::max([search::score({number}), 0])"


def count_contents(conditions: list[str]) -> str:
    """Return the question how many contents pass."""
    return f"SELECT count() FROM content {where(conditions)}GROUP ALL"


def passing_contents(conditions: list[str]) -> str:
    """Return the question for the ids of all contents that pass."""
    return f"SELECT VALUE id FROM content {where(conditions)}"


def vector_index(dimension: int) -> str:
    """Return the statement that makes the vector index (HNSW, cosine) if there is none.

    M 16 and EFC 150 are the usual middle between building time and recall.
    """
    return (
        "DEFINE INDEX IF NOT EXISTS chunk_embedding ON chunk FIELDS embedding "
        f"HNSW DIMENSION {int(dimension)} DIST COSINE TYPE F32 EFC 150 M 16"
    )


def _near(fields: str) -> str:
    return f"SELECT {fields}, vector::similarity::cosine(embedding, $vector) AS score FROM"


_NEAR = _near("id")
_BEST_FIRST = "ORDER BY score DESC, id LIMIT $limit"


def nearest(limit: int, fields: str = "id") -> str:
    """Return the search through the index: generous candidates, then exact order.

    k and ef have to be literal. ef 150 gave a recall@10 of .998. While the index is being built, it
    matches every row, so order and limit are no ornament.
    """
    candidates = max(2 * limit, 20)
    breadth = max(150, 2 * candidates)
    return f"{_near(fields)} chunk WHERE embedding <|{candidates},{breadth}|> $vector {_BEST_FIRST}"


def read_nearest(limit: int) -> str:
    """Return the same search, whose last two answers are chunks with scores, and their contents."""
    return (
        f"LET $near = ({nearest(limit, f'id, {OF_HIT}')}); "
        "RETURN $near; SELECT * FROM array::distinct($near.content)"
    )


def nearest_exact(*, but_one: bool) -> str:
    """Return the comparison with all chunks, or with all but those of `$without`."""
    also = "AND content != $without " if but_one else ""
    return f"{_NEAR} chunk WHERE embedding != NONE {also}{_BEST_FIRST}"


def nearest_in(content_hashes: Sequence[str]) -> str:
    """Return the comparison with all chunks of some contents."""
    ranges = ", ".join(chunk_range(content_hash) for content_hash in content_hashes)
    return f"{_NEAR} {ranges} WHERE embedding != NONE {_BEST_FIRST}"


SIMILARITIES = f"{_NEAR} $chunks WHERE embedding != NONE"

VECTORS = "SELECT id, embedding FROM $chunks WHERE embedding != NONE"


def read_vectors(content_hash: str) -> str:
    """Return the question for a content's vectors."""
    return f"SELECT VALUE embedding FROM {chunk_range(content_hash)} WHERE embedding != NONE"
