"""Passages by the words of a query."""

from collections.abc import Sequence
from typing import Any

from menos_vault.errors import RecordsFailed
from menos_vault.records.connection import Connection
from menos_vault.records.index import words
from menos_vault.records.index.tables import Place
from menos_vault.records.server import statements
from menos_vault.records.server.places import place_of
from menos_vault.records.server.sheet import sheet

_DEEPEST = 1000
"""Passages that the full text may bring; what is further down counts as not matching."""
_FEW_CONTENTS = 100
"""Contents that the server can check one by one; of more it sends all matches, and they are checked
here."""
TOGETHER = 250
"""Passages that are made searchable in one transaction: the engine's time for them grows with their
square. The words of a content that has more are written after it, bit by bit."""


def prepare(connection: Connection) -> None:
    """Make the full-text index if the vault has none, and fill in the chunks that are there.

    Engines 2 and 3 call it by different names; which one this is shows when it is asked.
    """
    [table] = connection.ask(statements.TABLE)[-1:]
    if statements.INDEX in table["indexes"]:
        return
    [keys] = connection.ask("SELECT VALUE id FROM chunk")
    insert_words(connection, [key.id for key in keys])
    try:
        connection.ask(statements.define_index("FULLTEXT"))
    except RecordsFailed:
        connection.ask(statements.define_index("SEARCH"))


def word_rows(keys: Sequence[str]) -> list[dict[str, Any]]:
    """Make rows of table `words`; the database fills in what stands in them."""
    from surrealdb import RecordID

    return [
        {
            "id": RecordID("words", key),
            "chunk": RecordID("chunk", key),
            "content": RecordID("content", place_of(RecordID("words", key)).content_id),
        }
        for key in keys
    ]


def insert_words(connection: Connection, keys: Sequence[str]) -> None:
    """Make chunks that are written searchable, or make them so anew."""
    for start in range(0, len(keys), TOGETHER):
        rows = word_rows(keys[start : start + TOGETHER])
        connection.ask(statements.insert("words"), words=rows)


def matches(
    connection: Connection,
    terms: Sequence[str],
    allowed: Sequence[str] | None,
    without: str | None,
) -> list[tuple[Place, float]]:
    """Return the passages that have any of the terms, and their BM25 score, the best first."""
    from surrealdb import RecordID

    variables: dict[str, Any] = {f"t{number}": term for number, term in enumerate(terms)}
    few = allowed is not None and len(allowed) <= _FEW_CONTENTS
    if few and allowed is not None:
        variables["contents"] = [RecordID("content", content_id) for content_id in allowed]
    phrases = [number for number, term in enumerate(terms) if " " in term]
    limit = _DEEPEST if allowed is None or few else None
    statement = statements.match(len(terms), phrases, filtered=few, limit=limit)
    [rows] = connection.ask(statement, **variables)
    if phrases:
        rows = _with_phrases(rows, terms, phrases)
    chosen = None if allowed is None else set(allowed)
    found = [(place_of(row["id"]), max(float(row["score"]), 1e-9)) for row in rows]
    return [
        (place, score)
        for place, score in found
        if place.content_id != without and (chosen is None or place.content_id in chosen)
    ][:_DEEPEST]


def _with_phrases(
    rows: list[dict[str, Any]], terms: Sequence[str], phrases: Sequence[int]
) -> list[dict[str, Any]]:
    """Keep what really has a phrase; to the server it is words that stand anywhere."""
    with sheet([row["text"] for row in rows]) as texts:
        matching = texts.matching(words.expression(terms))
        for number in phrases:
            having = texts.matching(words.expression([terms[number]]))
            for place, row in enumerate(rows):
                if place not in having:
                    row["score"] -= row[f"s{number}"]
    kept = [row for place, row in enumerate(rows) if place in matching]
    return sorted(kept, key=lambda row: (-row["score"], row["id"].id))
