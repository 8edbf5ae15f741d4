"""Objects as files in a folder: a key is the file's relative path."""

import errno
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from menos_vault.errors import InvalidKey, ObjectNotFound, ObjectsUnavailable
from menos_vault.folders import nearest_existing
from menos_vault.models import Health
from menos_vault.objects.keys import TEMPORARY, check_key


class FileObjects:
    """The object store of the embedded profile. See `menos_vault.objects.Objects`."""

    def __init__(self, folder: Path) -> None:
        """Keep objects in `folder`, which is made at the first put."""
        self._folder = folder

    def put(self, key: str, data: bytes) -> None:
        """Write to a temporary file, flush it to the disk, rename it, flush the folder."""
        path = self._path(key)
        try:
            _make_folders(path.parent)
            handle, temporary = self._temporary()
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)
        except OSError as error:
            raise self._explain(error, key, "write") from error

    def get(self, key: str) -> bytes:
        """Read the whole file."""
        path = self._path(key)
        try:
            return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ObjectNotFound(key) from None
        except OSError as error:
            raise self._explain(error, key, "read") from error

    def exists(self, key: str) -> bool:
        """Say whether the file is there."""
        path = self._path(key)
        try:
            return path.is_file()
        except OSError as error:
            raise self._explain(error, key, "look for") from error

    def delete(self, key: str) -> None:
        """Remove the file; its folders stay, another writer may be about to use them."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise self._explain(error, key, "delete") from error

    def keys(self, folder: str) -> list[str]:
        """Walk through the folder."""
        path = self._path(folder)
        try:
            found = [file for file in path.rglob("*") if file.is_file()]
        except OSError as error:
            raise self._explain(error, folder, "list") from error
        return sorted(file.relative_to(self._folder).as_posix() for file in found)

    def link(self, key: str, seconds: int) -> str | None:
        """Return None: a folder is behind no URL."""
        check_key(key)
        return None

    def health(self) -> Health:
        """Write a nameless file, which says more than permission bits: full disks show as well."""
        try:
            with tempfile.TemporaryFile(dir=nearest_existing(self._folder)) as file:
                file.write(b"health")
                file.flush()
        except OSError as error:
            message = f"cannot write to {self._folder}: {error.strerror}"
            fix = "free some space or give permission, or set MENOS_VAULT_OBJECTS"
            return Health("objects", False, message, fix)
        return Health("objects", True, f"{self._folder} is writable")

    def _path(self, key: str) -> Path:
        """Turn a key into a path, refusing whatever could leave the folder."""
        parts = check_key(key)
        path = self._folder.joinpath(*parts)
        # A symbolic link inside the folder could still lead out of it.
        if self._has_link(parts):
            # Not by Path.resolve, which raises an error of its own for links in a circle.
            inside = Path(os.path.realpath(self._folder))
            if not Path(os.path.realpath(path)).is_relative_to(inside):
                raise InvalidKey(f"object key {key!r} is refused: it leads out of {self._folder}")
        return path

    def _has_link(self, parts: Sequence[str]) -> bool:
        """Look at the parts of a key only: to resolve whole paths took a third of a put."""
        path = str(self._folder)
        for part in parts:
            path = os.path.join(path, part)
            try:
                found = os.lstat(path)
            except OSError:  # there is nothing, or whoever opens it is told why not
                return False
            # Windows has junctions, too, which are no links to it.
            if stat.S_ISLNK(found.st_mode) or bool(getattr(found, "st_reparse_tag", False)):
                return True
        return False

    def _temporary(self) -> tuple[int, str]:
        """Open a new file: on the same file system, so that a rename is atomic, with no key."""
        folder = self._folder / TEMPORARY
        try:
            return tempfile.mkstemp(dir=folder)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            return tempfile.mkstemp(dir=folder)

    def _explain(self, error: OSError, key: str, doing: str) -> InvalidKey | ObjectsUnavailable:
        if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
            return InvalidKey(
                f"object key {key!r} is refused: a part of it is an object already, "
                "or it is the folder of other objects"
            )
        return ObjectsUnavailable(
            f"cannot {doing} object {key!r} in {self._folder}: {error.strerror}; "
            "check the disk's free space and the folder's permissions, then try again"
        )


def _make_folders(folder: Path) -> None:
    """Make the folder and those above it, and flush each new entry to the disk."""
    try:
        folder.mkdir()
    except FileNotFoundError:
        if folder == folder.parent:
            raise
        _make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
    except OSError:  # it is there, of which systems tell in more than one way
        if not folder.is_dir():
            raise
        return
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries, without which a crash may forget a renamed file."""
    if os.name == "nt":  # Windows cannot open folders; its rename is journaled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
