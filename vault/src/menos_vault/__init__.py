"""Content records with vectors, objects and embeddings: what the menos-bus plugins share."""

from menos_vault.errors import (
    ContentNotFound,
    EmbeddingMismatch,
    InvalidContent,
    InvalidKey,
    ModelCorrupt,
    ModelUnavailable,
    NotFound,
    ObjectNotFound,
    ObjectsUnavailable,
    RecordsConflict,
    RecordsFailed,
    RecordsLocked,
    RecordsUnavailable,
    VaultClosed,
    VaultError,
)
from menos_vault.models import (
    Chunk,
    ChunkSet,
    Content,
    Counts,
    Health,
    Hit,
    Passage,
    Statistics,
    content_id,
)
from menos_vault.records.filters import Filters
from menos_vault.settings import VaultSettings
from menos_vault.vault import Vault, close_vault, open_vault

__version__ = "0.1.0"

__all__ = [
    "Chunk",
    "ChunkSet",
    "Content",
    "ContentNotFound",
    "Counts",
    "EmbeddingMismatch",
    "Filters",
    "Health",
    "Hit",
    "InvalidContent",
    "InvalidKey",
    "ModelCorrupt",
    "ModelUnavailable",
    "NotFound",
    "ObjectNotFound",
    "ObjectsUnavailable",
    "Passage",
    "RecordsConflict",
    "RecordsFailed",
    "RecordsLocked",
    "RecordsUnavailable",
    "Statistics",
    "Vault",
    "VaultClosed",
    "VaultError",
    "VaultSettings",
    "close_vault",
    "content_id",
    "open_vault",
]
