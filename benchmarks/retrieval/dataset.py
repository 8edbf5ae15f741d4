"""A BEIR-style folder: ``corpus.jsonl``, ``queries.jsonl``, ``qrels.test.tsv``.

The last one may also be where BEIR's own archives have it, in ``qrels/test.tsv``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Dataset:
    """Documents and questions by id, and which documents answer a question how well."""

    name: str
    documents: dict[str, tuple[str, str]]
    """id → title and text."""
    queries: dict[str, str]
    """Only those that some document of the corpus answers."""
    relevant: dict[str, dict[str, int]]
    """query → document → grade, 1 and above."""

    def is_itself(self, query: str, document: str) -> bool:
        """Whether a document is the very text that is asked with, which nobody looks for.

        Some sets, such as ArguAna, ask with their own documents. BEIR does not count them either.
        """
        if query != document:
            return False
        asked, (_, text) = self.queries[query], self.documents[document]
        return " ".join(asked.split()) in " ".join(text.split())


def read_dataset(folder: Path) -> Dataset:
    """Read a folder; an empty document is left out, since there is nothing in it to find."""
    documents = {
        str(row["_id"]): (str(row.get("title") or "").strip(), str(row.get("text") or "").strip())
        for row in _rows(folder / "corpus.jsonl")
    }
    documents = {key: both for key, both in documents.items() if any(both)}
    relevant: dict[str, dict[str, int]] = {}
    judgements = folder / "qrels" / "test.tsv"
    if not judgements.exists():
        judgements = folder / "qrels.test.tsv"
    with judgements.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            grade = int(row["score"])
            if grade > 0 and row["corpus-id"] in documents:
                relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = grade
    queries = {str(row["_id"]): str(row["text"]).strip() for row in _rows(folder / "queries.jsonl")}
    asked = {key: text for key, text in queries.items() if key in relevant and text}
    return Dataset(folder.resolve().name, documents, asked, relevant)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)
