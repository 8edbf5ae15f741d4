"""Tasks as they are often written by hand: one text per call, its vector as JSON in a row of a
database; a search reads all rows and compares them one by one. A plugin, as any other."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from menos_bus import hookimpl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STORE, SEARCH = "naive.store", "naive.search"


@hookimpl
def register_tasks(register: Any) -> None:
    """Register both."""
    register(store)
    register(search)


def store(text: str) -> None:
    """Embed one text and keep it with its vector."""
    from menos_vault import open_vault

    vectors = open_vault().embeddings.embed_documents([text])
    fill(Path(os.environ["MENOS_HOME"]), [text], vectors)


def search(query: str) -> list[str]:
    """Return the ten nearest texts."""
    import numpy as np

    from menos_vault import open_vault

    wanted = open_vault().embeddings.embed_query(query)
    with _database(Path(os.environ["MENOS_HOME"])) as database:
        found = [
            (float(wanted @ np.array(json.loads(vector), dtype=np.float32)), text)
            for text, vector in database.execute("SELECT text, vector FROM passage")
        ]
    return [text for _, text in sorted(found, reverse=True)[:10]]


def fill(home: Path, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Keep texts whose vectors are known."""
    with _database(home) as database:
        database.executemany(
            "INSERT INTO passage VALUES (?, ?)",
            [
                (text, json.dumps(vector.tolist()))
                for text, vector in zip(texts, vectors, strict=True)
            ],
        )


def install(site: Path) -> None:
    """Leave in a folder what pip would, for a bus that has it in its PYTHONPATH."""
    info = site / "menos_naive-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: menos-naive\nVersion: 1.0\nRequires-Dist: menos-bus\n"
    )
    (info / "entry_points.txt").write_text(f"[menos_bus]\nnaive = {__name__}\n")


@contextmanager
def _database(home: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(home / "naive.sqlite", timeout=60)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS passage (text TEXT, vector TEXT)")
        yield database
