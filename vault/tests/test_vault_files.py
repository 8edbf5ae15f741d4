"""What only a folder has; what every store does is in test_vault_objects.py."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from menos_vault import InvalidKey, ObjectsUnavailable
from menos_vault.objects import files
from menos_vault.objects.files import FileObjects


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


def test_a_put_leaves_no_temporary_file(objects: FileObjects, tmp_path: Path) -> None:
    objects.put("a/b", b"x" * 100_000)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "objects/a/b"]


def test_a_link_out_of_the_folder_is_refused(objects: FileObjects, tmp_path: Path) -> None:
    objects.put("a", b"")
    (tmp_path / "objects/out").symlink_to(tmp_path)

    with pytest.raises(InvalidKey, match="leads out"):
        objects.put("out/x", b"")


def test_links_in_the_folder_are_followed_and_those_in_a_circle_are_explained(
    objects: FileObjects, tmp_path: Path
) -> None:
    objects.put("a/b", b"x")
    (tmp_path / "objects/inside").symlink_to("a")
    (tmp_path / "objects/circle").symlink_to("circle")

    assert objects.get("inside/b") == b"x"
    assert not objects.exists("circle/b")
    for broken in (lambda: objects.get("circle/b"), lambda: objects.put("circle/b", b"")):
        with pytest.raises((ObjectsUnavailable, InvalidKey), match="circle/b"):
            broken()


def test_a_folder_that_is_there_is_used_whatever_the_system_says_of_making_it(
    objects: FileObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("a/b", b"")
    made = os.mkdir

    def mkdir(path: Any, *args: Any, **kwargs: Any) -> None:
        if os.path.isdir(path):
            raise OSError(errno.EROFS, "Read-only file system")
        made(path, *args, **kwargs)

    monkeypatch.setattr(os, "mkdir", mkdir)
    objects.put("a/c", b"")
    objects.put("d/e", b"")

    assert objects.exists("a/c")
    assert objects.exists("d/e")


def test_what_cannot_be_looked_for_is_explained(
    objects: FileObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)

    with pytest.raises(ObjectsUnavailable, match=r"look for object 'a/b'.*Permission denied"):
        objects.exists("a/b")


def test_new_folders_are_flushed_to_the_disk_once(
    objects: FileObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(
        files, "_sync_folder", lambda folder: flushed.append(str(folder.relative_to(tmp_path)))
    )

    objects.put("a/b/c", b"")
    assert flushed == [".", "objects", "objects/a", "objects/a/b"]
    objects.put("a/b/d", b"")
    assert flushed[4:] == ["objects/a/b"]


def test_a_key_below_an_object_is_refused(objects: FileObjects) -> None:
    objects.put("a", b"")
    objects.put("b/c", b"")

    for key in ("a/b", "b"):
        with pytest.raises(InvalidKey, match="part of it is an object"):
            objects.put(key, b"")


def test_a_folder_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises((ObjectsUnavailable, InvalidKey)):
        FileObjects(tmp_path / "file" / "objects").put("a", b"")
