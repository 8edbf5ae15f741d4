"""One of many processes that spend a quota at the same time, as badly as programs do.

It makes 160 reservations of 1 to 9 units, the last 60 of them of 1 unit; one that is to be killed
goes on with those of 1 unit. It commits twice, asks for
the same lease twice, gives some back, some of those twice. What it has got and kept stands in the
journal: one line ``<lease> <units>`` after each reservation, ``<lease> -<units>`` after a refund.
"""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

from menos_bus.quota.redis import RedisQuotaStore
from menos_bus.quota.sqlite import SQLiteQuotaStore
from menos_bus.quota.store import Day, Lease, QuotaStore, Verdict

RESERVATIONS = 160
SMALL = 60


def open_store(kind: str, place: str) -> QuotaStore:
    return SQLiteQuotaStore(Path(place)) if kind == "sqlite" else RedisQuotaStore(place)


def spend(
    place: tuple[str, str], bucket: str, allowed: int, seed: int, journal: Path, endless: bool
) -> None:
    store = open_store(*place)
    chance = random.Random(seed)
    with journal.open("a", buffering=1) as notes:
        for number in count() if endless else range(RESERVATIONS):
            small = number >= RESERVATIONS - SMALL
            units = 1 if small else chance.randint(1, 9)
            day = Day.at(store.now(), "America/Los_Angeles")
            lease = Lease(f"{seed}-{number}", bucket, day, units)
            answer = store.reserve(lease, allowed, None)
            if answer.verdict is not Verdict.GRANTED:
                continue
            assert answer.used <= allowed
            notes.write(f"{lease.id} {units}\n")
            what = chance.random()
            if what < 0.1 and not small:
                if store.refund(lease):
                    notes.write(f"{lease.id} -{units}\n")
                assert not store.refund(lease)
                continue
            if what < 0.3:
                assert store.reserve(lease, allowed, None).verdict is Verdict.GRANTED
            store.commit(lease)
            if what > 0.7:
                assert not store.commit(lease)
                assert not store.refund(lease)
