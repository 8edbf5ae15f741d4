"""What only a folder has; what every store does is in test_vault_objects.py."""

from pathlib import Path

import pytest

from menos_vault import InvalidKey, ObjectsUnavailable
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
