"""Content records with vectors, objects and embeddings: what the menos-bus plugins share."""

from menos_vault.errors import (
    ContentNotFound,
    EmbeddingMismatch,
    InvalidContent,
    InvalidKey,
    InvalidSettings,
    ModelCorrupt,
    ModelFailed,
    ModelMissing,
    ModelUnavailable,
    NotFound,
    ObjectNotFound,
    ObjectsRefused,
    ObjectsUnavailable,
    RecordsConflict,
    RecordsFailed,
    RecordsLocked,
    RecordsUnavailable,
    VaultClosed,
    VaultError,
)
from menos_vault.models import Chunk, Content, Counts, Health, Hit, content_id
from menos_vault.settings import VaultSettings
from menos_vault.vault import Vault, close_vault, open_vault

__version__ = "0.1.0"

__all__ = [
    "Chunk",
    "Content",
    "ContentNotFound",
    "Counts",
    "EmbeddingMismatch",
    "Health",
    "Hit",
    "InvalidContent",
    "InvalidKey",
    "InvalidSettings",
    "ModelCorrupt",
    "ModelFailed",
    "ModelMissing",
    "ModelUnavailable",
    "NotFound",
    "ObjectNotFound",
    "ObjectsRefused",
    "ObjectsUnavailable",
    "RecordsConflict",
    "RecordsFailed",
    "RecordsLocked",
    "RecordsUnavailable",
    "Vault",
    "VaultClosed",
    "VaultError",
    "VaultSettings",
    "close_vault",
    "content_id",
    "open_vault",
]
