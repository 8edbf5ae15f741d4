"""Which passages rows are about, and what speaks for each."""

from collections.abc import Iterable, Sequence
from typing import Any

from menos_vault.records.index.tables import Place

HASH_LENGTH = 32

Scores = list[tuple[Place, float]]
"""Passages with a score of one kind, the best first."""


def place_of(record: Any) -> Place:
    """Return the place that a record id of `chunk` or `words` stands for."""
    return Place(record.id[:HASH_LENGTH], int(record.id[HASH_LENGTH + 1 :]))


def passing(
    scores: Iterable[tuple[Place, float]], allowed: Sequence[str] | None, without: str | None
) -> Scores:
    """Keep the passages of the contents `allowed` unless that is None, and not of `without`."""
    chosen = None if allowed is None else set(allowed)
    return [
        (place, score)
        for place, score in scores
        if place.content_id != without and (chosen is None or place.content_id in chosen)
    ]
