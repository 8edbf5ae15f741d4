"""How long searches take at a database server, beside the database's own queries.

    PYTHONPATH=benchmarks python -m retrieval.server <folder>

The server is engine 3 behind a WebSocket, in memory. The passages are the folder's documents with
their words shuffled, each with its document's vector and some noise: neighbours are like those of
real passages. The plain queries are what one would write by hand for the same tables, in one
request each, without filters, pages, groups or highlights. For the words there are two: with one
predicate per term, as any SurrealDB understands it, and with engine 3's operator for any of them.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from menos_vault import Vault, VaultSettings
from retrieval.baselines import by_reciprocal_ranks
from retrieval.bus import SEARCH, milliseconds, running_bus
from retrieval.dataset import Dataset, read_dataset
from retrieval.growth import fill, shuffled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from menos_vault.embeddings import Embeddings

ENDPOINT = Path(__file__).parents[2] / "vault" / "tests" / "surreal_endpoint.py"
PASSWORD = "benchmark"
PASSAGES = 5_000
QUERIES = 60
LIMIT = 10
NOISE = 0.5
MODES = ("semantic", "keyword", "hybrid")
OPERATORS = {"each": "text @{n}@ $t{n}", "any": "text @{n},OR@ $t{n}"}

_MEANING = (
    "SELECT id, text, content.title AS title, vector::similarity::cosine(embedding, $vector) "
    "AS score FROM chunk WHERE embedding <|{count},150|> $vector ORDER BY score DESC"
)
_WORDS = (
    "SELECT id, text, title, {score} AS score FROM words WHERE {either} "
    "ORDER BY score DESC LIMIT {count}"
)


def main(folder: Path) -> None:
    """Print one line per mode."""
    dataset = read_dataset(folder)
    queries = list(dataset.queries.values())[:QUERIES]
    with (
        tempfile.TemporaryDirectory() as name,
        running_server() as url,
        Vault(VaultSettings()) as model,
    ):
        model.embeddings.prepare()
        home = Path(name)
        with running_bus(home / "empty") as bus:
            trip = bus.round_trip(mode="keyword")
        at_server = {
            "MENOS_VAULT_URL": url,
            "MENOS_VAULT_USERNAME": "root",
            "MENOS_VAULT_PASSWORD": PASSWORD,
        }
        settings = VaultSettings(home=home, url=url, username="root", password=PASSWORD)
        with Vault(settings) as vault:
            texts = shuffled(dataset, PASSAGES)
            vectors = noisy(dataset, model.embeddings)
            fill(vault, texts, vectors, 0, model.embeddings.model)
        plain = PlainQueries(settings, model.embeddings)
        print(f"{PASSAGES} passages; bus round trip {trip:.1f} ms", flush=True)
        with running_bus(home, **at_server) as bus:
            for mode in MODES:
                took: list[float] = []
                alone: dict[str, list[float]] = {name: [] for name in OPERATORS}
                for query in [*queries[:10], *queries]:  # the first ones warm up
                    took.append(milliseconds(bus.call, SEARCH, query, mode=mode))
                    for name, times in alone.items():
                        times.append(milliseconds(plain.search, mode, query, name))
                through = median(took[10:])
                beside = {name: median(times[10:]) for name, times in alone.items()}
                print(
                    f"{mode:8} p50 {through:.1f} ms; plain queries and round trip: "
                    + ", ".join(
                        f"{name} term {by_hand + trip:.1f} ms (× {through / (by_hand + trip):.2f})"
                        for name, by_hand in beside.items()
                    ),
                    flush=True,
                )
        plain.close()


class PlainQueries:
    """The database's own queries through its client, one request each."""

    def __init__(self, settings: Any, embeddings: Embeddings) -> None:
        from surrealdb import Surreal

        self._embeddings = embeddings
        self._client = Surreal(settings.url)
        self._client.signin({"username": "root", "password": PASSWORD})
        self._client.use(settings.namespace, settings.database)

    def search(self, mode: str, query: str, operator: str) -> list[str]:
        """The texts of the best passages."""
        statements, variables = [], {}
        count = LIMIT if mode != "hybrid" else 4 * LIMIT
        if mode != "keyword":
            statements.append(_MEANING.format(count=count))
            variables["vector"] = self._embeddings.embed_query(query).tolist()
        if mode != "semantic":
            terms = list(dict.fromkeys(re.findall(r"\w+", query.lower())))
            if operator == "any":
                terms = [" ".join(terms)]
            variables |= {f"t{number}": term for number, term in enumerate(terms)}
            statements.append(
                _WORDS.format(
                    count=count,
                    score=" + ".join(f"search::score({n})" for n in range(len(terms))),
                    either=" OR ".join(OPERATORS[operator].format(n=n) for n in range(len(terms))),
                )
            )
        answer = self._client.query_raw("; ".join(statements), variables)
        rankings = [[row["text"] for row in part["result"]] for part in answer["result"]]
        return by_reciprocal_ranks(rankings)[:LIMIT]

    def close(self) -> None:
        self._client.close()


def noisy(dataset: Dataset, embeddings: Embeddings) -> NDArray[np.float32]:
    """One vector for each passage that `shuffled` makes."""
    texts = [text for _, text in dataset.documents.values() if text]
    sources = embeddings.embed_documents(texts)
    vectors = np.resize(sources, (PASSAGES, sources.shape[1]))
    noise = np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    return vectors + NOISE * noise / np.sqrt(vectors.shape[1])


@contextmanager
def running_server() -> Iterator[str]:
    """Start a database server; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ENDPOINT), "engine3", str(port), "mem://", PASSWORD]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.kill()


def wait_until(attempt: Callable[[], None], seconds: float = 30) -> None:
    """Try until it raises no OSError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m retrieval.server FOLDER (BEIR-style)")
    main(Path(sys.argv[1]))
