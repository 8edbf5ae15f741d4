"""What it costs to spend a unit: reserve and commit, one process, on both stores.

    .venv/bin/python benchmarks/quota.py [redis://127.0.0.1:6379/6]

Prints milliseconds for each store: the median and the slowest of a hundred.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from menos_bus.quota.redis import RedisQuotaStore
from menos_bus.quota.sqlite import SQLiteQuotaStore
from menos_bus.quota.store import Day, Lease, QuotaStore

SPENDS = 1_000


def milliseconds(store: QuotaStore) -> list[float]:
    """How long each spend took."""
    bucket, taken = f"bench.b{uuid4().hex}", []
    for _ in range(SPENDS):
        started = time.perf_counter()
        lease = Lease(uuid4().hex, bucket, Day.at(time.time(), "America/Los_Angeles"), 1)
        store.reserve(lease, SPENDS, None)
        store.commit(lease)
        taken.append((time.perf_counter() - started) * 1_000)
    return sorted(taken)


if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/6"
    with tempfile.TemporaryDirectory() as folder:
        stores: dict[str, QuotaStore] = {
            "SQLite, flushed": SQLiteQuotaStore(Path(folder)),
            "Redis": RedisQuotaStore(url),
        }
        for name, store in stores.items():
            taken = milliseconds(store)
            p50, p99 = (taken[SPENDS * part // 100] for part in (50, 99))
            print(f"{name:16} p50 {p50:.2f} ms   p99 {p99:.2f} ms")
