"""How common words are, so that a search can leave out those that say nothing."""

import threading
import time
from collections import Counter
from collections.abc import Iterable

from menos_vault.records.connection import Connection
from menos_vault.records.index import words
from menos_vault.records.server import statements
from menos_vault.records.server.words import in_field

_VALID = 60.0  # seconds until the passages are counted again


class Frequencies:
    """Counts of passages by word. Thread-safe.

    Each is asked for once, and again when the vault has doubled or halved.
    """

    def __init__(self, connection: Connection) -> None:
        """Remember whom to ask."""
        self._connection = connection
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._passages = 0
        self._until = 0.0

    def telling(self, query: str) -> Counter[str]:
        """Return the words of a query that say something, with how often it says them."""
        asked = words.terms(query)
        if len(asked) < 2:
            return asked
        with self._lock:
            self._ask(asked)
            return words.telling(asked, self._counts.__getitem__, self._passages)

    def _ask(self, asked: Iterable[str]) -> None:
        if time.monotonic() > self._until:
            before = self._passages
            [rows] = self._connection.ask(statements.COUNT)
            self._passages = rows[0]["count"] if rows else 0
            if before.bit_length() != self._passages.bit_length():
                self._counts = {}
            self._until = time.monotonic() + _VALID
        if self._passages < words.LARGE:
            self._until = 0.0  # counting is quick, and it grows
            return  # how common words are is of no interest yet
        if missing := [term for term in asked if term not in self._counts]:
            fields, found = zip(*map(in_field, missing), strict=True)
            variables = {f"t{number}": words for number, words in enumerate(found)}
            results = self._connection.ask(statements.frequencies(fields), **variables)
            for term, rows in zip(missing, results, strict=True):
                self._counts[term] = rows[0]["count"] if rows else 0
