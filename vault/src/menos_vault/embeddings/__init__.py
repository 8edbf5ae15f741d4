"""Embeddings: texts to vectors.

`Embeddings` is what any model offers; `local.LocalEmbeddings` runs one in this process,
`ollama.OllamaEmbeddings` asks a server.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from menos_vault.models import Health

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Progress = Callable[[int, int], None]
"""Called with (done, total) now and then."""

CLOSED = "the vault was closed before all texts were embedded; try again"

__all__ = ["CLOSED", "Embeddings", "Progress", "encodable"]


def encodable(text: str) -> str:
    """Replace lone surrogates, each by one character: neither tokenizers nor JSON take them."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Embeddings(Protocol):
    """A model that turns texts into vectors. Thread-safe.

    Every method that needs the model prepares it first, so it may raise ModelUnavailable (it could
    not be fetched, its server is down) and ModelCorrupt (its files are wrong); one at a server also
    ModelMissing (it is not there) and ModelFailed (it refused).
    """

    @property
    def model(self) -> str:
        """Name under which vectors of this model are stored; other weights, other name."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that count, as `count_tokens` counts; what follows may be cut off."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the model can be used without fetching anything."""
        ...

    def prepare(self, on_progress: Progress | None = None) -> None:
        """Fetch, verify and load the model if that has not been done.

        `on_progress` gets (bytes done, bytes in all) while it is fetched.
        """

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, uncut, without the special ones that the model adds."""
        ...

    def token_starts(self, text: str) -> Sequence[int]:
        """Return where each token of a text begins: places of characters, in their order.

        With them the tokens of any part of it are counted at once.
        """
        ...

    def embed_documents(
        self, texts: Sequence[str], on_progress: Progress | None = None
    ) -> "NDArray[np.float32]":
        """Return vectors of shape (n, d), of length 1, in the order of `texts`.

        `on_progress` gets (texts done, texts in all) after each batch.
        """
        ...

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """Return the vector of a query, of shape (d,) and length 1."""
        ...

    def health(self) -> Health:
        """Look whether the model can be used; never raises, fetches nothing."""
        ...

    def close(self) -> None:
        """Embed no more documents than the batches in hand.

        Calls that have others, and later ones, raise ModelUnavailable, which can be retried.
        """
