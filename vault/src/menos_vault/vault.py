"""The vault: one object with records, objects and embeddings, each opened at the first use."""

import atexit
import os
import shutil
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from menos_vault.errors import (
    InvalidSettings,
    ObjectNotFound,
    RecordsLocked,
    VaultClosed,
    VaultError,
)
from menos_vault.folders import nearest_existing
from menos_vault.models import Content, Health
from menos_vault.settings import VaultSettings, settings_of_environment

if TYPE_CHECKING:
    from menos_vault.embeddings import Embeddings
    from menos_vault.objects import Objects
    from menos_vault.records import Records

_LITTLE_SPACE = 1 << 30  # bytes; the model needs 200 MB while it is unpacked


class Vault:
    """What plugins share. Thread-safe; usable as a context manager, which closes it."""

    def __init__(self, settings: VaultSettings | None = None) -> None:
        """Take settings, by default those of the environment; nothing is opened yet.

        Raises InvalidSettings if a variable is wrong.
        """
        self.settings = settings or settings_of_environment()
        self._lock = threading.RLock()
        self._closed = False
        self._records: Records | None = None
        self._embeddings: Embeddings | None = None

    @property
    def records(self) -> "Records":
        """Contents, chunks and vectors. Raises VaultClosed."""
        with self._lock:
            if self._closed:
                raise VaultClosed("the vault was closed; open it again")
            if self._records is None:
                from menos_vault.records.surreal import SurrealRecords

                self._records = SurrealRecords(self.settings)
            return self._records

    @cached_property
    def objects(self) -> "Objects":
        """Bytes under keys. Raises ObjectsRefused if the client of an S3 server is missing."""
        if self.settings.s3_place is not None:
            from menos_vault.objects.s3 import S3Objects

            return S3Objects(self.settings)
        from menos_vault.objects.files import FileObjects

        return FileObjects(Path(self.settings.objects))

    @property
    def embeddings(self) -> "Embeddings":
        """Texts to vectors."""
        with self._lock:
            if self._embeddings is None:
                self._embeddings = self._make_embeddings()
            return self._embeddings

    def _make_embeddings(self) -> "Embeddings":
        if self.settings.embeddings == "ollama":
            from menos_vault.embeddings.ollama import OllamaEmbeddings

            return OllamaEmbeddings(self.settings)
        from menos_vault.embeddings.local import LocalEmbeddings

        return LocalEmbeddings(self.settings)

    def delete(self, content_id: str) -> Content:
        """Delete a content with its chunks and its objects; returns what it was.

        Its objects are those that its record names and all in a folder of its own: `content/<id>`,
        and a folder of one of those, if it is called by the content's id or by what follows the
        colon in its resource key, as `youtube/dQw4w9WgXcQ` is. Its record goes last, so one that
        was cut short is simply done again. Raises ContentNotFound.
        """
        content = self.records.get_content(content_id)
        keys = set(content.objects.values())
        for folder in _own_folders(content):
            keys.update(self.objects.keys(folder))
        for key in keys:
            self.objects.delete(key)
        self.records.delete_content(content_id)
        return content

    def link(self, content_id: str, role: str = "transcript", seconds: int = 3600) -> str | None:
        """Return a URL that anybody may read an object of a content with, for so long.

        `role` is a key of the content's `objects`. None when objects are in a folder. Raises
        ContentNotFound, ObjectNotFound (it has no object of that role), InvalidContent (`seconds`
        is not 1 to 604,800).
        """
        key = self.records.get_content(content_id).objects.get(role)
        if key is None:
            raise ObjectNotFound(f"{content_id}/{role}")
        return self.objects.link(key, seconds)

    def health(self) -> list[Health]:
        """Look at records, objects, embeddings and disk space; never raises, stores nothing."""
        return [
            self._records_health(),
            self._objects_health(),
            self.embeddings.health(),
            self._space_health(),
        ]

    def close(self) -> None:
        """Finish what is under way and let the records folder go. Twice is fine.

        Texts that wait to be embedded are not under way: their callers get ModelUnavailable.
        """
        with self._lock:
            self._closed = True
            if self._embeddings is not None:
                self._embeddings.close()
            if self._records is not None:
                self._records.close()

    def __enter__(self) -> Self:
        """Return the vault itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _records_health(self) -> Health:
        from menos_vault.records.surreal import SurrealRecords

        folder = self.settings.records_folder
        opened = self._records
        try:
            missing = opened is None and folder is not None and not folder.exists()
        except OSError as error:
            fix = "run as the user whose folder it is, or set MENOS_HOME to another one"
            said = f"{folder} cannot be looked into: {error.strerror}"
            return Health("records", False, said, fix)
        if folder is not None and missing:
            if os.access(nearest_existing(folder), os.W_OK):
                return Health("records", True, f"{folder} will be made at first use")
            fix = "give permission to write there, or set MENOS_HOME to another folder"
            return Health("records", False, f"{folder} cannot be made", fix)
        # One that was opened only for this question is closed again: it would lock the folder.
        records = opened or SurrealRecords(self.settings)
        try:
            records.ping()
            counts = records.counts()
            stored = records.model() if counts.chunks else None
        except RecordsLocked as error:
            # What `doctor` finds in a second terminal while the bus runs: nothing to repair.
            return Health("records", True, str(error).partition(";")[0])
        except VaultError as error:
            return Health.failed("records", error, "read the message, then try again")
        finally:
            if records is not opened:
                records.close()
        place = folder or self.settings.url
        said = f"{place} holds {_some(counts.contents, 'content')}, {_some(counts.chunks, 'chunk')}"
        if counts.contents and not counts.chunks:
            said += ": nothing is embedded yet, so a search finds nothing"
        if stored is not None and not self._computes(stored[0]):
            said += f", with vectors of {stored[0]}, which is not the model of the settings"
            fix = "`menos-bus vault reindex`, or set MENOS_VAULT_EMBEDDINGS and its model as before"
            return Health("records", False, said, fix)
        return Health("records", True, said)

    def _computes(self, model: str) -> bool:
        """Whether embeddings are of that model, by name: Ollama's is not loaded for this."""
        if self.settings.embeddings == "ollama":
            wanted = self.settings.ollama_model.removesuffix(":latest")
            return model.partition("@")[0] == wanted
        try:
            return model == self.embeddings.model
        except VaultError:
            return True  # told as the embeddings' own trouble

    def _objects_health(self) -> Health:
        try:
            return self.objects.health()
        except VaultError as error:
            return Health.failed("objects", error)

    def _space_health(self) -> Health:
        places = {nearest_existing(self.settings.home), nearest_existing(self.settings.cache)}
        place = min(places, key=lambda path: shutil.disk_usage(path).free)
        free = shutil.disk_usage(place).free
        message = f"{free / 1e9:.1f} GB free at {place}"
        if free < _LITTLE_SPACE:
            return Health("disk", False, message, "free at least 1 GB, or set MENOS_HOME elsewhere")
        return Health("disk", True, message)


def _own_folders(content: Content) -> set[str]:
    """The folders of keys below which no other content has objects."""
    names = {content.id, content.resource_key.partition(":")[2]} - {""}
    folders = {key.rpartition("/")[0] for key in content.objects.values()}
    own = {folder for folder in folders if folder.rpartition("/")[2] in names}
    return {f"content/{content.id}", *own}


def _some(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


_shared: tuple[int, Vault] | None = None
_shared_lock = threading.Lock()


def open_vault() -> Vault:
    """Return the process's vault, with the settings of the environment when first called.

    A forked process gets one of its own, since neither threads nor connections survive a fork.
    """
    global _shared
    with _shared_lock:
        if _shared is None or _shared[0] != os.getpid():
            _shared = (os.getpid(), Vault())
        return _shared[1]


def why_one_process() -> str | None:
    """Why two processes cannot both use the vault of the environment's settings.

    ``None`` if they can, and where a setting is wrong, which the vault itself says when it is used.
    """
    try:
        url = open_vault().settings.url
    except InvalidSettings:
        return None
    if url.startswith(("ws://", "wss://")):
        return None
    return f"the records are inside it ({url}); at a server (MENOS_VAULT_URL) they would not be"


def close_vault() -> None:
    """Close the process's vault, if it has one; the next `open_vault()` makes a new one."""
    global _shared
    with _shared_lock:
        if _shared is not None and _shared[0] == os.getpid():
            _shared[1].close()
        _shared = None


def _renew_lock() -> None:
    """Replace the lock in a forked child: its holder, if any, does not exist there."""
    global _shared_lock
    _shared_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
atexit.register(close_vault)
