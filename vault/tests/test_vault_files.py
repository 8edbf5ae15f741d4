import threading
from pathlib import Path

import pytest

from menos_vault import InvalidKey, ObjectNotFound, ObjectsUnavailable
from menos_vault.objects.files import FileObjects


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


def test_what_is_put_is_got_and_can_be_replaced(objects: FileObjects) -> None:
    objects.put("youtube/ab/raw.json", b"one")
    objects.put("youtube/ab/raw.json", b"\x00two")

    assert objects.get("youtube/ab/raw.json") == b"\x00two"
    assert objects.exists("youtube/ab/raw.json")


def test_a_put_leaves_no_temporary_file(objects: FileObjects, tmp_path: Path) -> None:
    objects.put("a/b", b"x" * 100_000)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "objects/a/b"]


def test_an_unknown_key_is_not_found(objects: FileObjects) -> None:
    objects.put("a/b", b"")

    for key in ("nothing", "a", "a/b/c"):
        assert not objects.exists(key)
        with pytest.raises(ObjectNotFound, match=f"'{key}'"):
            objects.get(key)


def test_deleting_twice_is_fine(objects: FileObjects) -> None:
    objects.put("a", b"1")

    objects.delete("a")
    objects.delete("a")
    objects.delete("a/b")

    assert not objects.exists("a")


@pytest.mark.parametrize(
    "key",
    [
        *("", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "./a", ".tmp/x", "C:/x"),
        *("a\\b", "a\x00b", "a\nb", "\ud800", "x" * 256, "/".join(["y" * 200] * 6)),
    ],
)
def test_a_key_that_could_leave_the_folder_is_refused(objects: FileObjects, key: str) -> None:
    for use in (objects.get, objects.exists, objects.delete, lambda key: objects.put(key, b"")):
        with pytest.raises(InvalidKey, match="is refused"):
            use(key)


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


def test_readers_see_the_old_or_the_new_object_and_never_a_part(objects: FileObjects) -> None:
    versions = {bytes([number]) * 200_000 for number in range(4)}
    objects.put("k", next(iter(versions)))
    done = threading.Event()

    def write(data: bytes) -> None:
        for _ in range(20):
            objects.put("k", data)

    writers = [threading.Thread(target=write, args=(data,)) for data in versions]
    seen: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(objects.get("k"))

    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()

    assert seen <= versions
