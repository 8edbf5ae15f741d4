"""Embeddings by a model at an Ollama server."""

import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from menos_vault.embeddings import CLOSED, Progress, encodable
from menos_vault.embeddings.estimate import estimated_starts, estimated_tokens
from menos_vault.embeddings.prefixes import Prefixes, prefixes_of
from menos_vault.errors import ModelFailed, ModelMissing, ModelUnavailable, VaultError
from menos_vault.models import Health
from menos_vault.ollama import OllamaServer
from menos_vault.settings import VaultSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPECIAL = 2  # tokens that a model adds to a text
_UNSAID_CONTEXT = 512  # tokens that a model reads if the server does not say
_ROOM = 0.75  # of the context is used: the tokens are an estimate
_NONE = "none"  # how a setting says that there is no prefix


class _Facts(NamedTuple):
    """What is learnt from the server once."""

    name: str
    dimension: int
    context: int


class OllamaEmbeddings:
    """A model at an Ollama server. See `menos_vault.embeddings.Embeddings`.

    Tokens are estimated (`estimate`); a document that is too long for the model nevertheless is
    refused by the server, not cut. Vectors that do not fit what was asked raise ModelFailed.
    """

    def __init__(self, settings: VaultSettings) -> None:
        """Remember which model and where; the server is asked at the first need."""
        self._settings = settings
        self._server = OllamaServer(settings.ollama_url, timeout=settings.ollama_timeout)
        self._prefixes = _prefixes(settings)
        self._lock = threading.RLock()
        self._facts: _Facts | None = None
        self._closed = False

    @property
    def model(self) -> str:
        """The model's name and the start of its files' hash, as in `nomic-embed-text@0a109f42`."""
        return self._load().name

    @property
    def dimension(self) -> int:
        """Length of a vector, as an answer of the server has it."""
        return self._load().dimension

    @property
    def max_tokens(self) -> int:
        """Three quarters of what the model reads less its prefix: tokens are an estimate here."""
        longest = max(map(estimated_tokens, self._prefixes))
        return max(16, int((self._load().context - _SPECIAL - longest) * _ROOM))

    @property
    def ready(self) -> bool:
        """Whether the server answers and has the model."""
        if self._facts is not None:
            return True
        try:
            self._server.show(self._settings.ollama_model, tries=1)
        except VaultError:
            return False
        return True

    def prepare(self, on_progress: Progress | None = None) -> None:
        """Let the server pull the model if it has not got it (and `ollama_pull` is on)."""
        self._load(on_progress)

    def count_tokens(self, text: str) -> int:
        """Estimate."""
        return estimated_tokens(text)

    def token_starts(self, text: str) -> Sequence[int]:
        """Estimate."""
        return estimated_starts(text)

    def embed_documents(
        self, texts: Sequence[str], on_progress: Progress | None = None
    ) -> "NDArray[np.float32]":
        """Embed in batches, one request after the other, in the order of `texts`."""
        import numpy as np

        dimension = self._load().dimension
        vectors = np.empty((len(texts), dimension), dtype=np.float32)
        for start in range(0, len(texts), self._settings.ollama_batch):
            if self._closed:
                raise ModelUnavailable(CLOSED)
            batch = texts[start : start + self._settings.ollama_batch]
            found = self._embed([self._prefixes.document + text for text in batch], cut=False)
            if found.shape[1] != dimension:
                self._facts = None
                raise ModelFailed(
                    f"{self._settings.ollama_model} answered vectors of {found.shape[1]} "
                    f"dimensions, and of {dimension} before; was the model replaced? Try again"
                )
            vectors[start : start + len(batch)] = found
            if on_progress is not None:
                on_progress(start + len(batch), len(texts))
        return vectors

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Embed with the prefix of queries; one that is too long is cut."""
        self._load()
        vector: NDArray[np.float32] = self._embed([self._prefixes.query + text], cut=True)[0]
        return vector

    def health(self) -> Health:
        """Ask the server for the model, once; nothing is pulled."""
        settings = self._settings
        found = self._server.look_for(settings.ollama_model, pull=settings.ollama_pull)
        return found._replace(name="embeddings")

    def close(self) -> None:
        """Send no further batch."""
        self._closed = True

    def _load(self, on_progress: Progress | None = None) -> _Facts:
        if self._facts is None:
            with self._lock:
                if self._facts is None:
                    self._facts = self._learn(on_progress)
        return self._facts

    def _learn(self, on_progress: Progress | None) -> _Facts:
        model = self._settings.ollama_model
        shown = self._server.ensure(
            model,
            pull=self._settings.ollama_pull,
            seconds=self._settings.download_timeout,
            on_progress=on_progress,
        )
        _refuse_others(shown, model)
        digest = self._server.digest(model)
        name = model.removesuffix(":latest") + (f"@{digest[:8]}" if digest else "")
        return _Facts(name, self._embed(["dimension"], cut=True).shape[1], _context(shown))

    def _embed(self, texts: list[str], *, cut: bool) -> "NDArray[np.float32]":
        """Return unit vectors, one per text. Raises ModelFailed if the answer is anything else."""
        import numpy as np

        model = self._settings.ollama_model
        try:
            answered = self._server.embed(
                {
                    "model": model,
                    # Nothing at all is what some models have no vector for.
                    "input": [encodable(text) if text.strip() else "." for text in texts],
                    "truncate": cut,
                    "keep_alive": self._settings.ollama_keep_alive,
                }
            )
        except ModelMissing:
            self._facts = None  # it was removed: the next call may pull it again
            raise
        except ModelFailed as error:
            if "context" in str(error):
                raise ModelFailed(
                    f"{error}; a passage is longer than {model} reads: process with a smaller "
                    "MENOS_CONTENT_CHUNK_TOKENS"
                ) from error
            raise
        try:
            vectors = np.asarray(answered, dtype=np.float32)
        except (ValueError, TypeError):
            vectors = np.empty(0, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            raise ModelFailed(
                f"{model} was asked for {len(texts)} vectors of one length and answered something "
                f"else, of shape {vectors.shape}"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise ModelFailed(f"{model} answered a vector that is all zero or not a number")
        return np.asarray(vectors / lengths, dtype=np.float32)


def _prefixes(settings: VaultSettings) -> Prefixes:
    known = prefixes_of(settings.ollama_model)
    given = (settings.ollama_document_prefix, settings.ollama_query_prefix)
    return Prefixes(
        *(
            own if value is None else "" if value.strip() == _NONE else value
            for own, value in zip(known, given, strict=True)
        )
    )


def _refuse_others(shown: dict[str, Any], model: str) -> None:
    """Refuse a model that the server says is not for embedding."""
    capabilities = shown.get("capabilities")
    if isinstance(capabilities, list) and capabilities and "embedding" not in capabilities:
        raise ModelFailed(
            f"{model} is a model for {', '.join(map(str, capabilities))}, not for embedding; set "
            "MENOS_VAULT_OLLAMA_MODEL to another one, such as nomic-embed-text"
        )


def _context(shown: dict[str, Any]) -> int:
    """Return how many tokens a model reads: what it was trained for or runs with, the smaller."""
    limits = []
    info = shown.get("model_info")
    for name, value in info.items() if isinstance(info, dict) else ():
        if str(name).endswith(".context_length") and isinstance(value, int):
            limits.append(value)
    if found := re.search(r"^num_ctx\s+(\d+)", str(shown.get("parameters") or ""), re.MULTILINE):
        limits.append(int(found[1]))
    return min(limits, default=_UNSAID_CONTEXT)
