"""Which passage a row is about."""

from typing import Any

from menos_vault.records.index.tables import Place

HASH_LENGTH = 32


def place_of(record: Any) -> Place:
    """Return the place that a record id of `chunk` or `words` stands for."""
    return Place(record.id[:HASH_LENGTH], int(record.id[HASH_LENGTH + 1 :]))
