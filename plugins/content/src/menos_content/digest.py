"""Summaries in a model's own words, of texts of any length: parts first, then the whole.

A text that does not fit into one request is split, each part is digested, and the digests of
neighbours are digested together until one is left. What was answered is kept among the objects
until the summary is stored: a call that was cut short goes on where it was when it is repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from menos_content.document import Document
from menos_content.settings import ContentSettings
from menos_content.token_counter import TokenCounter
from menos_content.while_there import progress_while_there
from menos_content.writer import ANSWER_TOKENS, PROMPT_TOKENS, Digest, Writer
from menos_vault import ContentNotFound, ObjectNotFound, Vault
from menos_vault.embeddings.estimate import estimated_starts, estimated_tokens

if TYPE_CHECKING:
    from menos_vault.objects import Objects

_ROOM: Final = 0.75
"""How much of the model's context is used: tokens are an estimate."""

_VERSION: Final = "1"
"""Changes with the prompt: answers to an older one are not used."""


def summarize_by_model(vault: Vault, document: Document, summary_of: str) -> None:
    """Let the model of the settings digest the text, and store what it says in the content.

    The summary becomes ``summary``. Bullets, tags and topics are in ``metadata["digest"]``, and the
    vault adds the tags to the content's own, in place of those that an earlier digest added.

    Args:
        vault: where to.
        document: what to digest.
        summary_of: what to note as that of which the summary is.

    Raises:
        ContentNotFound: it was deleted meanwhile.
        Permanent: the model answered what is no digest (``bad_summary``).
        VaultError: the server or the vault could not do it.
    """
    writer = Writer(vault.settings)
    writer.prepare()
    answers = _Answers(vault.objects, document.content.id, writer)
    tell = progress_while_there("summarizing", vault, [document])
    try:
        digest = _digest(answers, f"{document.content.title}\n\n{document.text}", tell)
        said = {**digest.model_dump(exclude={"summary"}), "model": writer.model}
        vault.records.update_content(
            document.content.id,
            summary=digest.summary,
            summary_of=summary_of,
            metadata={"digest": said},
        )
    except ContentNotFound:
        answers.forget()  # with all else that was its own
        raise
    answers.forget()


def _digest(answers: _Answers, text: str, tell: Callable[[int, int], None]) -> Digest:
    size = int(ContentSettings().ollama_context * _ROOM) - ANSWER_TOKENS - PROMPT_TOKENS
    parts = _parts(text, size)
    # Fewer requests follow on the parts than there are parts; the last one ends the count.
    total = len(parts) + (len(parts) > 1)
    found = []
    for done, part in enumerate(parts):
        tell(done, total)
        found.append(answers.to(part))
    while len(found) > 1:
        tell(total - 1, total)
        notes = [digest.as_note() for digest in found]
        found = [answers.to("\n\n".join(group), of_notes=True) for group in _groups(notes, size)]
    tell(total, total)
    return found[0]


def _parts(text: str, size: int) -> list[str]:
    starts = estimated_starts(text)
    if len(starts) <= size:
        return [text]
    from semantic_text_splitter import TextSplitter

    return TextSplitter.from_callback(TokenCounter(text, starts), size).chunks(text)


def _groups(notes: list[str], size: int) -> Iterator[list[str]]:
    """Neighbours that fit into one request together; at least two, so that fewer are left.

    Two always fit: an answer has a quarter of the smallest context at most.
    """
    group: list[str] = []
    taken = 0
    for note in notes:
        tokens = estimated_tokens(note)
        if len(group) > 1 and taken + tokens > size:
            yield group
            group, taken = [], 0
        group.append(note)
        taken += tokens
    yield group


class _Answers:
    """The model's answers about one content, kept until the last of them is there."""

    def __init__(self, objects: Objects, content_id: str, writer: Writer) -> None:
        self._objects = objects
        self._folder = f"content/{content_id}/digests"
        self._writer = writer

    def to(self, text: str, *, of_notes: bool = False) -> Digest:
        """The digest of a text, asked for if it was not answered before."""
        said = "\0".join((_VERSION, self._writer.model, str(of_notes), text))
        key = f"{self._folder}/{hashlib.sha256(said.encode()).hexdigest()}.json"
        try:
            return Digest.model_validate_json(self._objects.get(key))
        except (ObjectNotFound, ValidationError):
            digest = self._writer.digest(text, of_notes=of_notes)
            self._objects.put(key, digest.model_dump_json().encode())
            return digest

    def forget(self) -> None:
        """Remove what was kept, also of what the text was before."""
        for key in self._objects.keys(self._folder):
            self._objects.delete(key)
