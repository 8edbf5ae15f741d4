"""What callers of the records give, checked before it goes anywhere."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from menos_vault.errors import ContentNotFound, EmbeddingMismatch, InvalidContent
from menos_vault.models import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ID = re.compile(r"[0-9a-f]{32}")
_MOST_CHUNKS = 1_000_000  # what six digits in an id can count
_LONGEST_LIST = 1000


def check_id(content_id: str) -> None:
    """Raise ContentNotFound for what cannot be an id."""
    if not _ID.fullmatch(content_id):
        raise ContentNotFound(content_id)


def check_model(stored: tuple[str, int], wanted: tuple[str, int]) -> None:
    """Raise EmbeddingMismatch if these models, names with dimensions, are not the same."""
    if stored != wanted:
        raise EmbeddingMismatch(
            f"the vault's vectors are from {stored[0]!r} with {stored[1]} dimensions, these are "
            f"from {wanted[0]!r} with {wanted[1]}; use the first model, or reindex the vault "
            "(tasks.reindex_content)"
        )


def check_vectors(chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", model: str) -> int:
    """Return the dimension. Raises InvalidContent if vectors and chunks do not fit together."""
    if len(chunks) > _MOST_CHUNKS:
        raise InvalidContent(f"a content has at most {_MOST_CHUNKS} chunks, not {len(chunks)}")
    if vectors.ndim != 2 or len(vectors) != len(chunks):
        raise InvalidContent(
            f"{len(chunks)} chunks need vectors of shape ({len(chunks)}, d), not {vectors.shape}"
        )
    if [chunk.index for chunk in chunks] != list(range(len(chunks))):
        raise InvalidContent("the chunks' indexes must be 0, 1, 2 … in order")
    if not model:
        raise InvalidContent("the name of the embedding model is empty")
    check_finite(vectors)
    return int(vectors.shape[1])


def check_dimensions(dimensions: Sequence[int]) -> int:
    """Return the one that all have, 0 if there are none. Raises InvalidContent."""
    different = sorted(set(dimensions))
    if len(different) > 1:
        raise InvalidContent(f"the vectors of one model have one dimension, not {different}")
    return different[0] if different else 0


def check_query(vector: "NDArray[np.float32]") -> None:
    """Raise InvalidContent for what is no single vector with a direction."""
    if vector.ndim != 1:
        raise InvalidContent(f"a query vector has one dimension, not shape {vector.shape}")
    check_finite(vector)


def check_finite(vectors: "NDArray[np.float32]") -> None:
    """Refuse vectors that have no direction: NaN, infinite or all zero."""
    import numpy as np

    lengths = np.linalg.norm(np.atleast_2d(vectors), axis=1)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise InvalidContent("a vector is all zero, infinite or not a number")


def check_page(limit: int, offset: int) -> None:
    """Raise InvalidContent for a page that cannot be."""
    if not 1 <= limit <= _LONGEST_LIST:
        raise InvalidContent(f"limit must be 1 to {_LONGEST_LIST}, not {limit}")
    if offset < 0:
        raise InvalidContent(f"offset must be 0 or more, not {offset}")
