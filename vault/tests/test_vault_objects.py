"""What every store of objects does: the same tests over a folder and a real S3 endpoint."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from menos_vault import InvalidContent, InvalidKey, ObjectNotFound, Vault, VaultSettings
from menos_vault.objects import Objects
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["folder", "bucket", "bucket with a prefix"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "folder":
        return Vault(VaultSettings(home=tmp_path)).objects
    prefix = "/menos/objects" if "prefix" in request.param else ""
    settings = VaultSettings(
        home=tmp_path,
        objects=f"s3://bucket-{next(_numbers)}{prefix}",
        s3_endpoint=request.getfixturevalue("server").url,
        s3_access_key=ACCESS_KEY,
        s3_secret_key=SECRET_KEY,
    )
    return Vault(settings).objects


def test_what_is_put_is_got_and_can_be_replaced(objects: Objects) -> None:
    objects.put("youtube/ab/raw.json", b"one")
    objects.put("youtube/ab/raw.json", b"\x00two")

    assert objects.get("youtube/ab/raw.json") == b"\x00two"
    assert objects.exists("youtube/ab/raw.json")


@pytest.mark.parametrize("key", ["ü/漢字 🎉.txt", "a+b c%2Fd", "x?y#z&q=1", "'\"<>|*", "t\u00a0"])
def test_a_key_may_have_any_letters(objects: Objects, key: str) -> None:
    objects.put(key, key.encode())

    assert objects.get(key) == key.encode()
    objects.delete(key)
    assert not objects.exists(key)


@pytest.mark.parametrize("size", [0, 1, 6_000_000])
def test_an_object_may_have_any_size(objects: Objects, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    objects.put("k", data)

    assert objects.get("k") == data


def test_an_unknown_key_is_not_found(objects: Objects) -> None:
    for store in ("that is empty", "with something in it"):
        for key in ("nothing", "a", "a/b/c"):
            assert not objects.exists(key), store
            with pytest.raises(ObjectNotFound, match=f"'{key}'"):
                objects.get(key)
        objects.put("a/b", b"")


def test_deleting_twice_is_fine(objects: Objects) -> None:
    objects.delete("never there")
    objects.put("a", b"1")

    objects.delete("a")
    objects.delete("a")
    objects.delete("a/b")

    assert not objects.exists("a")


def test_the_keys_below_a_folder_are_those_that_begin_with_it_and_a_slash(
    objects: Objects,
) -> None:
    assert objects.keys("content/a") == []
    below = ["content/a/digests/ü 1.json", "content/a/digests/2.json", "content/a/text.txt"]
    for key in (*below, "content/ab/text.txt", "content/a.txt", "a"):
        objects.put(key, b"")

    assert objects.keys("content/a") == sorted(below)
    assert objects.keys("a") == []


@pytest.mark.parametrize(
    "key",
    [
        *("", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "./a", ".tmp/x", "C:/x"),
        *("a\\b", "a\x00b", "a\nb", "\ud800", "x" * 256, "/".join(["y" * 200] * 6)),
    ],
)
def test_a_key_that_could_leave_the_store_is_refused(objects: Objects, key: str) -> None:
    for use in (
        *(objects.get, objects.exists, objects.delete, lambda key: objects.put(key, b"")),
        lambda key: objects.link(key, 60),
        objects.keys,
    ):
        with pytest.raises(InvalidKey, match="is refused"):
            use(key)


def test_readers_see_the_old_or_the_new_object_and_never_a_part(objects: Objects) -> None:
    versions = {bytes([number]) * 200_000 for number in range(4)}
    objects.put("k", next(iter(versions)))
    done = threading.Event()

    def write(data: bytes) -> None:
        for _ in range(10):
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


def test_looking_at_its_health_stores_nothing(objects: Objects) -> None:
    before, after = objects.health(), objects.health()

    assert before.ok
    assert (before, before.name) == (after, "objects")
    objects.put("k", b"1")
    assert objects.health().ok


def test_a_link_can_be_had_where_there_are_urls(objects: Objects) -> None:
    objects.put("a/ü.txt", b"words")

    link = objects.link("a/ü.txt", 60)

    if link is not None:
        import httpx

        answer = httpx.get(link, trust_env=False)
        assert (answer.status_code, answer.content) == (200, b"words")
        assert httpx.get(link[:-1] + "x", trust_env=False).status_code == 403
        for seconds in (0, 604_801):
            with pytest.raises(InvalidContent, match="1 to 604800"):
                objects.link("a/ü.txt", seconds)
