"""Passages by the words of a query."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from menos_vault.errors import RecordsFailed
from menos_vault.records import scripts
from menos_vault.records.answers import Ask
from menos_vault.records.connection import Connection
from menos_vault.records.schema import transaction
from menos_vault.records.server import statements
from menos_vault.records.server.places import HASH_LENGTH, Scores, passing, place_of
from menos_vault.records.server.statements import Predicate
from menos_vault.records.sheet import sheet

_DEEPEST = 1000
"""Passages that the full text may bring; what is further down counts as not matching."""
_FEW_CONTENTS = 100
"""Contents that the server can check one by one; of more it sends all matches, and they are checked
here."""
_ONE_WORD = re.compile(r"[^\W\d_]+|\d+")
TOGETHER = 250
"""Passages that are made searchable in one transaction: the engine's time for them grows with their
square. The words of a content that has more are written after it, bit by bit."""


async def prepare_words(ask: Ask) -> None:
    """Make the full-text indexes that the vault lacks, and fill in the chunks that are there.

    Bit by bit: who is cut short leaves less of it to the next one.
    """
    [table] = (await ask(statements.TABLE, {}))[-1:]
    missing = [name for name in statements.INDEXES if name not in table["indexes"]]
    [filled] = await ask(statements.FILLED, {})
    if filled == [True] and not missing:
        return
    await ask(statements.FIELDS, {})
    for name in missing:
        await _define_index(ask, name)
    await ask(statements.VALUES, {})
    [chunks] = await ask("SELECT VALUE id FROM chunk", {})
    [rows] = await ask("SELECT VALUE id FROM words", {})
    [unpaired] = await ask(statements.UNPAIRED, {})
    lacking = {key.id for key in chunks} - {key.id for key in rows} | {key.id for key in unpaired}
    for statement, variables in insertions(sorted(lacking)):
        await ask(statement, variables)
    await ask(statements.SET_FILLED, {})


async def _define_index(ask: Ask, name: str) -> None:
    """Engines 2 and 3 call it by different names; which one this is shows when it is asked."""
    try:
        await ask(statements.define_index(name, "FULLTEXT"), {})
    except RecordsFailed:
        await ask(statements.define_index(name, "SEARCH"), {})


def word_rows(keys: Sequence[str]) -> list[dict[str, Any]]:
    """Make rows of table `words`; the database fills in what stands in them."""
    from surrealdb import RecordID

    return [
        {
            "id": RecordID("words", key),
            "chunk": RecordID("chunk", key),
            "content": RecordID("content", key[:HASH_LENGTH]),
        }
        for key in keys
    ]


def in_field(term: str) -> tuple[statements.Field, str]:
    """Return where a term of `words.terms` is looked for, and as which words.

    Of a phrase in several scripts it is what is in those without spaces.
    """
    parts = [part for part in term.split() if scripts.unspaced(part)]
    return ("pairs", scripts.as_words(" ".join(parts))) if parts else ("text", term)


def insertions(keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the transactions that make written chunks searchable, with their variables."""
    for start in range(0, len(keys), TOGETHER):
        some = keys[start : start + TOGETHER]
        turn = statements.take_turn(sorted({key[:HASH_LENGTH] for key in some}))
        yield transaction(turn, statements.INSERT), {"words": word_rows(some)}


class Words:
    """The full text of a vault at a server. Thread-safe."""

    def __init__(self, connection: Connection) -> None:
        """See which predicates the server understands."""
        self._connection = connection
        try:
            connection.ask(statements.KNOWS_ANY_WORD)
        except RecordsFailed:
            self._knows_any_word = False
        else:
            self._knows_any_word = True

    def matches(
        self, terms: Counter[str], allowed: Sequence[str] | None, without: str | None
    ) -> Scores:
        """Return the passages that have any term, with their BM25 score, the best first.

        Only those of the contents `allowed` unless that is None, and not those of `without`.
        """
        from surrealdb import RecordID

        predicates = self._predicates(terms)
        phrases = {number: one.phrase for number, one in enumerate(predicates) if one.phrase}
        variables: dict[str, Any] = {f"t{n}": one.words for n, one in enumerate(predicates)}
        few = allowed is not None and len(allowed) <= _FEW_CONTENTS
        if few and allowed is not None:
            variables["contents"] = [RecordID("content", content_id) for content_id in allowed]
        limit = _DEEPEST if allowed is None or few else None
        statement = statements.match(predicates, list(phrases), filtered=few, limit=limit)
        [rows] = self._connection.ask(statement, **variables)
        if phrases:
            rows = _with_phrases(rows, list(terms), phrases)
        found = ((place_of(row["id"]), max(float(row["score"]), 1e-9)) for row in rows)
        return passing(found, allowed, without)[:_DEEPEST]

    def _predicates(self, terms: Counter[str]) -> list[Predicate]:
        """Ask for single words together if the server can: it is four times as fast.

        To the server `mp3` is two words, and both have to be there.
        """
        together: defaultdict[tuple[statements.Field, int], list[str]] = defaultdict(list)
        alone = []
        for term, times in terms.items():
            field, found = in_field(term)
            if " " in term or " " in found:
                alone.append(Predicate(field, found, times, phrase=term))
            elif self._knows_any_word and (field == "pairs" or _ONE_WORD.fullmatch(term)):
                together[field, times].append(term)
            else:
                alone.append(Predicate(field, term, times))
        return [
            *(
                Predicate(field, " ".join(some), times, any_word=True)
                for (field, times), some in together.items()
            ),
            *alone,
        ]


def _with_phrases(
    rows: list[dict[str, Any]], terms: Sequence[str], phrases: dict[int, str]
) -> list[dict[str, Any]]:
    """Keep what really has a phrase; to the server it is words that stand anywhere."""
    with sheet([_apart(row["title"], row["text"]) for row in rows]) as texts:
        matching = texts.matching(terms)
        for number, phrase in phrases.items():
            having = texts.matching([phrase])
            for place, row in enumerate(rows):
                if place not in having:
                    row["score"] -= row[f"s{number}"]
    kept = [row for place, row in enumerate(rows) if place in matching]
    return sorted(kept, key=lambda row: (-row["score"], row["id"].id))


def _apart(title: str, text: str) -> str:
    """Put borders between title, heading and text, so that no phrase goes from one to the next.

    They stand one above the other. A title may have line breaks of its own, a heading has none.
    """
    plain = text.rpartition(statements.BORDER)[0] if scripts.unspaced(text) else text
    return title + plain[len(title) :].replace("\n", statements.BORDER, 2)
