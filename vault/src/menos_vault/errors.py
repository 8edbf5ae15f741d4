"""The vault's errors, one tree.

```
VaultError                 code               retryable
├── NotFound
│   ├── ContentNotFound    content_not_found
│   └── ObjectNotFound     object_not_found
├── InvalidContent         invalid_content               the database cannot hold these values
├── InvalidKey             invalid_key                   an object key that is no relative path
├── InvalidSettings        vault_settings                a variable MENOS_VAULT_… is wrong
├── EmbeddingMismatch      embedding_mismatch            vectors of another model or dimension
├── ModelUnavailable       model_unavailable  yes        not fetched, or its server does not answer
├── ModelMissing           model_missing                 the model's server has no such model
├── ModelFailed            model_failed                  the model's server refused or answers wrong
├── ModelCorrupt           model_corrupt                 the model's files are not the right ones
├── RecordsLocked          records_locked                another process has the folder
├── RecordsUnavailable     records_unavailable yes       the database did not answer
├── RecordsConflict        records_conflict   yes        other writers kept winning
├── RecordsFailed          records_failed                the database refused a statement
├── ObjectsUnavailable     objects_unavailable yes       disk full, server down, no answer in time
├── ObjectsRefused         objects_refused               the server says no, or a setting is wrong
└── VaultClosed            vault_closed                  used after close()
```

`code` is stable and meant for programs; `retryable` says whether the same call may succeed later
without anybody changing anything. The bus reads both attributes, so a task lets these errors pass.
"""

from typing import ClassVar


class VaultError(Exception):
    """What every error of the vault is; the message says what to do."""

    code: ClassVar[str] = "vault_error"
    retryable: ClassVar[bool] = False


class NotFound(VaultError):
    """Something that was named does not exist."""

    code = "not_found"


class ContentNotFound(NotFound):
    """No content with this id."""

    code = "content_not_found"

    def __init__(self, content_id: str) -> None:
        """Name the id that was asked for."""
        super().__init__(f"there is no content with id {content_id!r}: deleted, or never stored")
        self.content_id = content_id

    def __reduce__(self) -> tuple[type["ContentNotFound"], tuple[str]]:
        """Survive pickling, which would pass the message where the id belongs."""
        return type(self), (self.content_id,)


class ObjectNotFound(NotFound):
    """No object under this key."""

    code = "object_not_found"

    def __init__(self, key: str) -> None:
        """Name the key that was asked for."""
        super().__init__(f"there is no object under the key {key!r}")
        self.key = key

    def __reduce__(self) -> tuple[type["ObjectNotFound"], tuple[str]]:
        """Survive pickling, which would pass the message where the key belongs."""
        return type(self), (self.key,)


class InvalidContent(VaultError):
    """Values that the vault cannot hold (unknown field, integer beyond 64 bits, NaN vector …)."""

    code = "invalid_content"


class InvalidKey(VaultError):
    """An object key that is no clean relative path inside the object folder."""

    code = "invalid_key"


class InvalidSettings(VaultError):
    """A variable `MENOS_VAULT_…` is missing or wrong; the message names it."""

    code = "vault_settings"


class EmbeddingMismatch(VaultError):
    """Vectors of another model or dimension than the stored ones."""

    code = "embedding_mismatch"


class ModelUnavailable(VaultError):
    """The model could not be fetched, or its server is down, busy or too slow."""

    code = "model_unavailable"
    retryable = True


class ModelMissing(VaultError):
    """The model's server has no such model: it must be pulled there."""

    code = "model_missing"


class ModelFailed(VaultError):
    """The model's server refused a request, or answered what cannot be used."""

    code = "model_failed"


class ModelCorrupt(VaultError):
    """The embedding model's files are not the ones that were expected."""

    code = "model_corrupt"


class RecordsLocked(VaultError):
    """Another process has the records folder open."""

    code = "records_locked"


class RecordsUnavailable(VaultError):
    """The database cannot be opened, is gone or did not answer in time."""

    code = "records_unavailable"
    retryable = True


class RecordsConflict(VaultError):
    """A write met other writers on the same rows until its time was up."""

    code = "records_conflict"
    retryable = True


class RecordsFailed(VaultError):
    """The database refused a statement; that is a defect in the vault or its data."""

    code = "records_failed"


class ObjectsUnavailable(VaultError):
    """The object store could not read or write now (disk full, read-only, server down)."""

    code = "objects_unavailable"
    retryable = True


class ObjectsRefused(VaultError):
    """The object server does not do this for us: wrong key, bucket or region, no permission."""

    code = "objects_refused"


class VaultClosed(VaultError):
    """The vault was used after it had been closed."""

    code = "vault_closed"
