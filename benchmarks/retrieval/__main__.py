"""How well and how fast the bus retrieves, beside what it has to beat, in one run.

    make bench-retrieval DATA=<folder>

The folder is BEIR-style. Everything goes through a real bus on an empty data folder: store →
process → search, by calls at its door. Documents are stored and embedded a hundred a call, as one
does who has many; what a call for each costs is measured beside it, on some of them, by another
bus. The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from menos_vault.embeddings import Embeddings
from retrieval import baselines, naive
from retrieval.bus import SEARCH, BenchBus, Failed, milliseconds, running_bus
from retrieval.dataset import Dataset, read_dataset
from retrieval.measures import measure

LINES = 100
"""Documents of a call; it is the most that one takes."""
CLIENTS = 2
"""Such calls that wait side by side, so that the bus has something to do between two of them."""
SINGLE_CLIENTS = 16
"""The same for calls of one document."""
SINGLE = 400
"""Documents that are stored and embedded by a call each."""
LONGEST_TITLE = 500
"""Characters that the tasks take as one."""
SAMPLE = 100
"""Passages that naive tasks embed in each way, and queries that others than the bus get."""
MODES = ("hybrid", "semantic", "keyword")


def main(folder: Path) -> None:
    """Run everything and print it."""
    from menos_vault import Vault, VaultSettings

    dataset = read_dataset(folder)
    say(f"{dataset.name}: {len(dataset.documents)} documents, {len(dataset.queries)} queries")
    with tempfile.TemporaryDirectory() as folder_of_run:
        home = Path(folder_of_run)
        with Vault(VaultSettings(home=home / "model")) as vault:
            vault.embeddings.prepare()  # fetched and loaded here, so that no measure waits for it
            alone = ModelAlone(vault.embeddings, dataset)
            with running_bus(home / "single") as bus:
                single = one_by_one(bus, dataset)
            with running_bus(home) as bus:
                figures = single | through_the_bus(bus, dataset, alone)
            figures |= by_naive_tasks(home / "naive", dataset, alone)
        with Vault(VaultSettings(home=home)) as vault:
            figures |= beside_it(vault, dataset, figures.pop("passages"), alone)
    figures |= {"model_alone_s": alone.seconds, "model_alone_processor_s": alone.processor}
    figures["bm25"] = measure(dataset, baselines.bm25(dataset))
    report(dataset, figures)


class ModelAlone:
    """What the model needs for the passages of a dataset, with nothing beside it.

    The speed of a machine that others use, too, changes within minutes. So it is measured in
    turns with what it is compared with, and the mean counts.
    """

    def __init__(self, embeddings: Embeddings, dataset: Dataset) -> None:
        self._embeddings = embeddings
        self.texts = passages(embeddings, dataset)
        self.vectors = np.empty((0, 0), dtype=np.float32)
        self._runs: list[tuple[float, float]] = []

    def run(self) -> None:
        """Measure once more."""
        started, processor = time.perf_counter(), time.process_time()
        self.vectors = self._embeddings.embed_documents(self.texts)
        seconds = time.perf_counter() - started
        self._runs.append((seconds, time.process_time() - processor))
        say(f"the model alone: {seconds:.1f} s")

    def vectors_of(self, texts: list[str]) -> NDArray[np.float32]:
        """The vectors of the bus's own passages, which have to be these, in its order."""
        if sorted(texts) != sorted(self.texts):
            raise Failed(f"the bus's {len(texts)} passages are not these {len(self.texts)}")
        known = dict(zip(self.texts, self.vectors, strict=True))
        return np.array([known[text] for text in texts])

    @property
    def seconds(self) -> float:
        """Of a run."""
        return float(np.mean([seconds for seconds, _ in self._runs]))

    @property
    def processor(self) -> float:
        """Seconds of processor time of a run."""
        return float(np.mean([processor for _, processor in self._runs]))


def passages(embeddings: Embeddings, dataset: Dataset) -> list[str]:
    """What the bus embeds: the documents' passages, cut as it cuts them."""
    from menos_content.document import Document
    from menos_content.embed import cut_now, passages_of
    from menos_vault import Content

    texts = []
    now = datetime.now(UTC)
    for key in dataset.documents:
        given = document(dataset, key)
        text = given.pop("text")
        content = Content(id=key, content_type="text", created_at=now, updated_at=now, **given)
        _, words = passages_of(Document(content, text, []), embeddings, cut_now(embeddings))
        texts += words
    return texts


def through_the_bus(bus: BenchBus, dataset: Dataset, alone: ModelAlone) -> dict[str, Any]:
    """Store, process and search, and what that took."""
    trip = bus.round_trip()
    say(f"bus round trip (a search in the empty vault): {trip:.1f} ms")
    alone.run()
    before, processor = bus.memory(), bus.processor_seconds()
    ids: dict[str, str] = {}
    seconds = []
    documents = list(dataset.documents)
    half = len(documents) // 2
    for part in (documents[:half], documents[half:]):
        batches = [part[place : place + LINES] for place in range(0, len(part), LINES)]
        started = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            for found in clients.map(lambda keys: ingest(bus, dataset, keys), batches):
                ids |= found
        seconds.append(time.perf_counter() - started)
        say(f"ingested {len(ids)} of {len(documents)}, the bus holds {bus.memory():.0f} MiB")
        alone.run()
    figures: dict[str, Any] = {
        "ingest_s": sum(seconds),
        "ingest_processor_s": bus.processor_seconds() - processor,
        "memory_mib": [before, bus.memory()],
        "round_trip_ms": trip,
    }
    for mode in MODES:
        run = {}
        for key, query in dataset.queries.items():
            found = bus.call(SEARCH, query, limit=100, mode=mode, group_by="content")["results"]
            run[key] = [ids[hit["content_id"]] for hit in found]
        figures[mode] = measure(dataset, run)
    figures["passages"] = {}
    took = []
    for key, query in dataset.queries.items():
        found = bus.call(SEARCH, query, mode="semantic")["results"]
        figures["passages"][key] = [(hit["content_id"], hit["text"]) for hit in found]
        took.append(milliseconds(bus.call, SEARCH, query))
    figures["search_ms"] = took
    return figures


def ingest(bus: BenchBus, dataset: Dataset, keys: list[str]) -> dict[str, str]:
    """Store and embed documents by one call; returns content id → key."""
    lines = [document(dataset, key) for key in keys]
    imported = bus.call("tasks.import_content", lines, process=["embed"])
    if imported["failed"]:
        raise Failed(f"tasks.import_content: {imported['failed'][0]}")
    return dict(zip(imported["content_ids"], keys, strict=True))


def one_by_one(bus: BenchBus, dataset: Dataset) -> dict[str, Any]:
    """Store and embed some documents by a call each, and what that took."""
    documents = [document(dataset, key) for key in list(dataset.documents)[:SINGLE]]
    started = time.perf_counter()
    with ThreadPoolExecutor(SINGLE_CLIENTS) as clients:
        calls = clients.map(
            lambda given: bus.call("tasks.store_content", process=["embed"], **given), documents
        )
        count = sum(1 for _ in calls)
    return {"single_docs_per_s": count / (time.perf_counter() - started)}


def document(dataset: Dataset, key: str) -> dict[str, str]:
    """A document as the tasks take it; its first words are the title if it has none that fits."""
    title, text = dataset.documents[key]
    if not 0 < len(title) <= LONGEST_TITLE:
        text = f"{title}\n\n{text}".strip()
        title = text[:80]
    return {"resource_key": f"bench:{key}", "title": title, "text": text or title}


def by_naive_tasks(home: Path, dataset: Dataset, alone: ModelAlone) -> dict[str, Any]:
    """What hand-written tasks need for the same passages, on a bus of their own.

    One after another, as a loop in a workflow calls them, and side by side; some are measured.
    """
    naive.install(home / "site")
    paths = [str(home / "site"), str(Path(__file__).parent.parent)]
    figures = {}
    with running_bus(home, PYTHONPATH=os.pathsep.join(paths)) as bus:
        bus.call(naive.STORE, "The model is loaded.")
        sample = alone.texts[: 2 * SAMPLE]
        for clients, texts in ((1, sample[::2]), (SINGLE_CLIENTS, sample[1::2])):
            started = time.perf_counter()
            with ThreadPoolExecutor(clients) as pool:
                list(pool.map(partial(bus.call, naive.STORE), texts))
            a_text = (time.perf_counter() - started) / max(1, len(texts))
            figures[f"naive_ingest_s_{clients}"] = a_text * len(alone.texts)
        naive.fill(home, alone.texts[len(sample) :], alone.vectors[len(sample) :])
        queries = list(dataset.queries.values())[:20]
        took = [milliseconds(bus.call, naive.SEARCH, query) for query in queries]
    return figures | {"naive_ms": median(took)}


def beside_it(
    vault: Any, dataset: Dataset, passages: dict[str, Any], alone: ModelAlone
) -> dict[str, Any]:
    """Exact search and searches written by hand, over the bus's own chunks."""
    from menos_content.context import with_context

    embeddings = vault.embeddings
    owners, texts, shown = [], [], []
    names = {}
    offset = 0
    while page := vault.records.list_contents(limit=1000, offset=offset):
        offset += len(page)
        for content in page:
            names[content.id] = content.resource_key.removeprefix("bench:")
            for chunk in vault.records.chunks(content.id):
                owners.append(names[content.id])
                texts.append(with_context(chunk, content.title))
                shown.append((content.id, chunk.text))
    by_hand = baselines.ByHand(owners, texts, alone.vectors_of(texts), embeddings)
    exact = {key: by_hand.dense(query) for key, query in dataset.queries.items()}
    shares = [
        len({shown[place] for place in exact[key][:10]} & set(map(tuple, passages[key]))) / 10
        for key in dataset.queries
    ]
    asked = list(dataset.queries.values())[:SAMPLE]
    return {
        "chunks": len(texts),
        "exact": measure(dataset, {key: by_hand.documents(found) for key, found in exact.items()}),
        "by_hand": measure(
            dataset, {key: by_hand.hybrid(query) for key, query in dataset.queries.items()}
        ),
        "knn_recall@10": float(np.mean(shares)),
        "by_hand_ms": median(milliseconds(by_hand.hybrid, query) for query in asked),
        "settings": settings(vault),
    }


def settings(vault: Any) -> dict[str, Any]:
    """What the figures depend on."""
    from importlib.metadata import version

    from menos_content.settings import ContentSettings

    content = ContentSettings()
    packages = ("menos-bus", "numpy", "openvino", "surrealdb", "bm25s", "PyStemmer")
    return {
        "model": vault.embeddings.model,
        "precision": getattr(vault.embeddings, "precision", "the server's"),
        "chunk_tokens": content.chunk_tokens,
        "chunk_overlap": content.chunk_overlap,
        "model_threads": vault.settings.threads,
        "documents_per_call": LINES,
        "clients": CLIENTS,
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def report(dataset: Dataset, figures: dict[str, Any]) -> None:
    """Print a table for people and the line for programs."""
    say(f"{'':10}{'nDCG@10':>9}{'R@10':>8}{'R@100':>8}{'MRR@10':>8}")
    for kind in (*MODES, "bm25", "exact", "by_hand"):
        row = figures[kind]
        say(
            f"{kind:10}{row['ndcg@10']:9.4f}{row['recall@10']:8.3f}{row['recall@100']:8.3f}"
            f"{row['mrr@10']:8.3f}"
        )
    took = figures["search_ms"]
    p50, p99 = (float(np.percentile(took, share)) for share in (50, 99))
    ingest_s, alone = figures["ingest_s"], figures["model_alone_s"]
    say(f"KNN recall@10 against exact: {figures['knn_recall@10']:.4f}")
    say(
        f"ingest: {ingest_s:.1f} s for {figures['chunks']} chunks; the model alone {alone:.1f} s "
        f"(× {ingest_s / alone:.2f})"
    )
    for clients, how in ((1, "one after another"), (SINGLE_CLIENTS, f"{SINGLE_CLIENTS} at a time")):
        needed = figures[f"naive_ingest_s_{clients}"]
        say(f"naive tasks, {how}: {needed:.1f} s (× {needed / ingest_s:.2f})")
    documents_per_s, single = len(dataset.documents) / ingest_s, figures["single_docs_per_s"]
    say(
        f"documents/s: {documents_per_s:.1f}; by a call each {single:.1f}, the model alone "
        f"{len(dataset.documents) / alone:.1f}"
    )
    busy, model_busy = figures["ingest_processor_s"], figures["model_alone_processor_s"]
    say(
        f"processor time of it, which others on the machine change less: {busy:.1f} s, the model "
        f"alone {model_busy:.1f} s (× {busy / model_busy:.2f})"
    )
    say(
        f"search: p50 {p50:.1f} ms, p99 {p99:.1f} ms; by hand {figures['by_hand_ms']:.1f} ms + "
        f"round trip {figures['round_trip_ms']:.1f} ms "
        f"(× {p50 / (figures['by_hand_ms'] + figures['round_trip_ms']):.2f}); "
        f"naive task {figures['naive_ms']:.0f} ms (× {figures['naive_ms'] / p50:.1f})"
    )
    say("memory of the bus before and after: {:.0f} → {:.0f} MiB".format(*figures["memory_mib"]))
    say(f"settings: {json.dumps(figures['settings'])}")
    line = {
        "dataset": dataset.name,
        **{kind: rounded(figures[kind]) for kind in (*MODES, "bm25", "exact")},
        "knn_recall@10": round(figures["knn_recall@10"], 4),
        "ingest_docs_per_s": round(documents_per_s, 2),
        "single_docs_per_s": round(single, 2),
        "search_p50_ms": round(p50, 2),
        "search_p99_ms": round(p99, 2),
    }
    say(json.dumps(line))


def rounded(row: dict[str, float]) -> dict[str, float]:
    """The three measures of the last line."""
    return {name: round(row[name], 4) for name in ("ndcg@10", "recall@10", "recall@100")}


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m retrieval FOLDER (with corpus.jsonl, queries.jsonl, qrels.…)")
    try:
        main(Path(sys.argv[1]))
    except (OSError, Failed) as error:
        sys.exit(f"{error}")
