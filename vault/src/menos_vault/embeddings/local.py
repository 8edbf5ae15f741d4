"""Embeddings in this process, by openvino: all-MiniLM-L6-v2, or a model of the user's own."""

import ctypes
import functools
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from menos_vault.embeddings import Progress, fetch
from menos_vault.embeddings.batches import Batches
from menos_vault.embeddings.graph import read_shape
from menos_vault.embeddings.inference import Inference
from menos_vault.embeddings.reader import Reader
from menos_vault.embeddings.weights import sha256
from menos_vault.errors import ModelCorrupt, VaultError
from menos_vault.models import Health
from menos_vault.settings import VaultSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEQUENCE = 256  # tokens that all-MiniLM-L6-v2 was made for, special ones included; no more of any
_SPECIAL = 2  # [CLS] in front, [SEP] behind
_BATCH = 512
"""Tokens of a run. More made none faster, and a query may have to wait for the end of one."""
_WINDOW = 1024  # texts that are tokenised at a time, so that memory does not grow with their number


@dataclass(frozen=True)
class _Runtime:
    inference: Inference
    reader: Reader


_loaded: WeakValueDictionary[tuple[Path, str], _Runtime] = WeakValueDictionary()
"""By folder and hash of the weights: the vaults of a process have one together."""
_loading = threading.Lock()


def _leave_to_parent() -> None:
    """Keep a forked child's copies for ever, and let the child load a model of its own.

    Their threads live in the parent only: a copy waits for them when it runs, and when it is freed.
    """
    global _loading
    _loading = threading.Lock()  # its holder, if any, does not exist in the child
    for runtime in _loaded.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(runtime))  # else it is freed with the child
    _loaded.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


class LocalEmbeddings:
    """The local model. See `menos_vault.embeddings.Embeddings`."""

    def __init__(self, settings: VaultSettings) -> None:
        """Remember which model; it is fetched and loaded at the first need."""
        self._settings = settings
        self._runtime: _Runtime | None = None
        self._batches = Batches(self._run, _BATCH, settings.threads)

    @functools.cached_property
    def model(self) -> str:
        """`all-MiniLM-L6-v2`, or for other weights the folder's name and the start of their hash.

        Raises ModelCorrupt if `model_path` holds no model.
        """
        own = self._settings.model_path
        if own is None or self._own_hash == fetch.MINILM.weights_sha256:
            return fetch.MINILM.name
        return f"{own.name}@{self._own_hash[:8]}"

    @functools.cached_property
    def dimension(self) -> int:
        """384, or what `model_path` says."""
        own = self._settings.model_path
        return fetch.MINILM.dimension if own is None else read_shape(own).dimension

    @property
    def max_tokens(self) -> int:
        """254, or fewer of a smaller model: less the two special tokens that every text gets."""
        return self._sequence - _SPECIAL

    @property
    def ready(self) -> bool:
        """Whether the model is in the cache (or `model_path` exists)."""
        if self._runtime is not None:
            return True
        own = self._settings.model_path
        if own is not None:
            return (own / "model.safetensors").is_file() and (own / "tokenizer.json").is_file()
        return fetch.is_ready(self._models / fetch.MINILM.name)

    @property
    def precision(self) -> str:
        """What it computes in: `bf16` where the processor has bfloat16, or `f32`."""
        return self._load().inference.precision

    def prepare(self, on_progress: Progress | None = None) -> None:
        """Fetch the model if need be, and load it."""
        self._load(on_progress)

    def count_tokens(self, text: str) -> int:
        """Count with the model's own tokenizer."""
        return self._load().reader.count(text)

    def token_starts(self, text: str) -> Sequence[int]:
        """Ask the model's own tokenizer."""
        return self._load().reader.starts(text)

    def embed_documents(
        self, texts: Sequence[str], on_progress: Progress | None = None
    ) -> "NDArray[np.float32]":
        """Embed together with whatever other threads embed now, in full batches."""
        import numpy as np

        reader = self._load().reader
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), _WINDOW):
            ids = [reader.read(text) for text in texts[start : start + _WINDOW]]
            told = None
            if on_progress is not None:
                told = functools.partial(_tell, on_progress, start, len(texts))
            vectors[start : start + len(ids)] = self._batches.embed(ids, told)
        return vectors

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Embed it by itself, past all texts that wait for a batch: somebody waits."""
        ids = self._load().reader.read(text)
        vector: NDArray[np.float32] = self._run([ids])[0]
        return vector

    def health(self) -> Health:
        """Look for its files."""
        try:
            name = self.model
        except ModelCorrupt as error:
            return Health.failed("embeddings", error)
        if self.ready:
            return Health("embeddings", True, f"the model {name} is ready")
        if self._settings.model_path is not None:
            message = f"{self._settings.model_path} holds no complete model"
            fix = "it needs model.safetensors, tokenizer.json and config.json"
            return Health("embeddings", False, message, fix)
        return Health("embeddings", True, f"{name} will be fetched at first use (84 MB)")

    def close(self) -> None:
        """Let go those whose texts wait, and end the batches that run."""
        self._batches.close()

    @property
    def _models(self) -> Path:
        return self._settings.cache / "models"

    @functools.cached_property
    def _sequence(self) -> int:
        own = self._settings.model_path
        return _SEQUENCE if own is None else min(_SEQUENCE, read_shape(own).positions)

    @functools.cached_property
    def _own_hash(self) -> str:
        path = self._settings.model_path
        assert path is not None
        try:
            return sha256(path / "model.safetensors")
        except OSError as error:
            raise ModelCorrupt(
                f"MENOS_VAULT_MODEL_PATH is {path}, but model.safetensors in it cannot be read: "
                f"{error.strerror}; correct the setting, or unset it to fetch the model"
            ) from error

    def _run(self, ids: list[list[int]]) -> "NDArray[np.float32]":
        return self._load().inference.run(ids)

    def _load(self, on_progress: Progress | None = None) -> _Runtime:
        if self._runtime is None:
            with _loading:
                if self._runtime is None:
                    self._runtime = self._shared_runtime(on_progress)
        return self._runtime

    def _shared_runtime(self, on_progress: Progress | None) -> _Runtime:
        own = self._settings.model_path
        key = (self._models, fetch.MINILM.weights_sha256) if own is None else (own, self._own_hash)
        runtime = _loaded.get(key)
        if runtime is None:
            runtime = _loaded[key] = self._make_runtime(on_progress)
        return runtime

    def _make_runtime(self, on_progress: Progress | None) -> _Runtime:
        own = self._settings.model_path
        folder = own or fetch.fetch_model(
            fetch.MINILM,
            self._models,
            timeout=self._settings.download_timeout,
            on_progress=on_progress,
        )
        try:
            reader = Reader(folder, self._sequence)
            inference = Inference(
                folder,
                # A user may write a new model into the old one's place while it is in use.
                mapped=own is None,
                threads=self._settings.threads,
                vocabulary=reader.vocabulary,
                longest=self._sequence,
            )
            return _Runtime(inference, reader)
        except VaultError:
            raise
        except Exception as error:  # both libraries raise plain Exceptions of their own
            what = "delete that folder, it is fetched again" if own is None else "correct its files"
            raise ModelCorrupt(
                f"the model in {folder} cannot be loaded: {error}; {what}"
            ) from error


def _tell(on_progress: Progress, before: int, total: int, done: int) -> None:
    on_progress(before + done, total)
