"""How the time of a search grows from 2,000 to 20,000 passages, beside what is written by hand.

    PYTHONPATH=benchmarks python -m retrieval.growth <folder>

The passages are the folder's documents with their words shuffled, and random vectors: for the time
it does not matter what is found. They are written into the vault directly; searches go through a
bus.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from menos_vault import Chunk, Vault, VaultSettings
from retrieval import baselines
from retrieval.bus import SEARCH, milliseconds, running_bus
from retrieval.dataset import Dataset, read_dataset

SIZES = (2_000, 20_000)
PER_DOCUMENT = 10
QUERIES = 100


def main(folder: Path) -> None:
    """Print one line per size, and how much it grew."""
    dataset = read_dataset(folder)
    queries = list(dataset.queries.values())[:QUERIES]
    texts = shuffled(dataset, SIZES[-1])
    vectors = np.random.default_rng(1).standard_normal((len(texts), 384)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name, Vault(VaultSettings()) as model:
        home = Path(name)
        model.embeddings.prepare()
        with running_bus(home) as bus:
            trip = bus.round_trip()
        took = []
        done = 0
        for size in SIZES:
            with Vault(VaultSettings(home=home)) as vault:
                fill(vault, texts[done:size], vectors[done:size], done, model.embeddings.model)
            done = size
            with running_bus(home) as bus:
                bus.call(SEARCH, queries[0])
                took.append(median(milliseconds(bus.call, SEARCH, query) for query in queries))
            by_hand = baselines.ByHand(
                [str(place) for place in range(size)],
                texts[:size],
                vectors[:size] / np.linalg.norm(vectors[:size], axis=1, keepdims=True),
                model.embeddings,
            )
            hand = median(milliseconds(by_hand.hybrid, query) for query in queries)
            print(
                f"{size:6} passages: p50 {took[-1]:.1f} ms; by hand {hand:.1f} ms + round trip "
                f"{trip:.1f} ms (× {took[-1] / (hand + trip):.2f})",
                flush=True,
            )
        print(f"growth × {took[-1] / took[0]:.2f}")


def shuffled(dataset: Dataset, count: int) -> list[str]:
    """Passages of the words of real ones."""
    order = random.Random(1)
    sources = [text.split() for _, text in dataset.documents.values() if text]
    found = []
    for number in range(count):
        words = list(sources[number % len(sources)])
        order.shuffle(words)
        found.append(" ".join(words[:150]))
    return found


def fill(vault: Vault, texts: list[str], vectors: np.ndarray, first: int, model: str) -> None:
    """Write passages, ten to a content."""
    for start in range(0, len(texts), PER_DOCUMENT):
        part = texts[start : start + PER_DOCUMENT]
        content = vault.records.put_content(
            f"grow:{first + start}", content_type="text", title=f"Text {first + start}"
        )
        chunks = [Chunk(index=index, text=text) for index, text in enumerate(part)]
        vault.records.replace_chunks(
            content.id, chunks, vectors[start : start + PER_DOCUMENT], model=model
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m retrieval.growth FOLDER (BEIR-style)")
    main(Path(sys.argv[1]))
