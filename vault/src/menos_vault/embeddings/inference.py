"""Runs the local model on this machine's processors, by openvino."""

import atexit
import os
import platform
import queue
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from menos_vault.embeddings import CLOSED
from menos_vault.embeddings.graph import build_graph
from menos_vault.errors import ModelUnavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STEP = 16
"""Texts are padded to a multiple of this: shapes that recur have their code and memory already."""
_SHAPES = 64
"""How many shapes keep what was compiled for them; with the default, 5,000, memory grows on."""


class Inference:
    """A compiled model. Thread-safe: `threads` batches and a query run side by side.

    Where that are more than there are processors, a query waits for the end of a batch.
    """

    def __init__(
        self, folder: Path, *, mapped: bool, threads: int, vocabulary: int, longest: int
    ) -> None:
        """Compile the model in `folder` for texts of up to `longest` tokens.

        `mapped` as in `read_weights`, `vocabulary` as in `build_graph`. Raises ModelCorrupt,
        ModelUnavailable without openvino, or RuntimeError where that cannot do it.
        """
        try:
            openvino = _openvino()
        except ImportError as error:
            raise ModelUnavailable(
                f"openvino, which runs the local model, cannot be imported: {error}; install "
                "menos-vault anew, or let a server embed (MENOS_VAULT_EMBEDDINGS=ollama)"
            ) from error
        self._longest = longest
        streams = threads + 1  # openvino has no more of them than there are processors
        # Their meaning: https://docs.openvino.ai, "CPU device".
        options: dict[str, Any] = {
            # Every run by one processor, and several runs side by side: nothing has to be waited
            # for between the steps of one.
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
            "ENABLE_CPU_PINNING": False,  # or all processes of a host would be put on the same
            "CPU_RUNTIME_CACHE_CAPACITY": _SHAPES,
        }
        # By itself it takes bfloat16 where the processor has it: twice as fast, and the vectors'
        # cosine with the exact ones is 0.9999. Elsewhere than here it would be another half
        # precision, with a narrow range.
        if platform.machine().lower() not in ("x86_64", "amd64"):
            options["INFERENCE_PRECISION_HINT"] = "f32"
        graph = build_graph(openvino, folder, mapped=mapped, vocabulary=vocabulary)
        self._compiled = openvino.Core().compile_model(graph, "CPU", options)
        # The last used first: it has its memory.
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(streams):
            self._idle.put(self._compiled.create_infer_request())
        self._streams = streams
        self._process = os.getpid()
        _all.add(self)
        self.run([[0] * longest])  # some shapes that do not fit show only as it runs

    @property
    def precision(self) -> str:
        """What it computes in: `bf16` or `f32`."""
        return str(self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string())

    def run(self, rows: Sequence[Sequence[int]]) -> "NDArray[np.float32]":
        """Return the vectors of texts, given by their tokens: (texts, dimension), of length 1.

        Raises ModelUnavailable once this is closed.
        """
        import numpy as np

        longest = min(-(-max(len(row) for row in rows) // _STEP) * _STEP, self._longest)
        ids = np.zeros((len(rows), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        request = self._idle.get()
        try:
            if request is None:
                raise ModelUnavailable(CLOSED)
            request.infer([ids, mask])
            vectors: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
            return vectors
        finally:
            self._idle.put(request)

    def close(self) -> None:
        """Return when those that run are done; the others, and later ones, are refused."""
        if self._process != os.getpid():
            return  # a fork's copy: what runs there runs in the parent only
        for _ in range(self._streams):
            if self._idle.get() is None:
                break  # it is closed already
        self._idle.put(None)


_all: "weakref.WeakSet[Inference]" = weakref.WeakSet()


def _close_all() -> None:
    """End what runs: a daemon thread that comes back from openvino too late is an abort."""
    for inference in list(_all):
        inference.close()


atexit.register(_close_all)


def _openvino() -> Any:
    """Import openvino without the package by which it reports that to its makers.

    A vault tells nobody anything. It has a stand-in for where that package is missing.
    """
    reporter = "openvino_telemetry"
    if reporter not in sys.modules:
        sys.modules[reporter] = None  # type: ignore[assignment]  # it cannot be imported
        try:
            import openvino
        finally:
            del sys.modules[reporter]
    import openvino

    return openvino
