"""What an S3 server does to us: it is away, it refuses, it is cut off in the middle."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from menos_vault import ObjectNotFound, ObjectsRefused, ObjectsUnavailable, Vault, VaultSettings
from menos_vault.objects import Objects
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server

Settings = Callable[..., VaultSettings]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    server = S3Server(tmp_path / "s3")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def at(tmp_path: Path) -> Settings:
    def at(url: str, **changes: object) -> VaultSettings:
        given = {
            "objects": "s3://bucket/p",
            "s3_endpoint": url,
            "s3_access_key": ACCESS_KEY,
            "s3_secret_key": SECRET_KEY,
            "s3_timeout": 2,
        }
        return VaultSettings(home=tmp_path / "home", **given | changes)

    return at


def all_of_it(objects: Objects) -> list[Callable[[], object]]:
    return [
        lambda: objects.put("k", b"1"),
        lambda: objects.get("k"),
        lambda: objects.exists("k"),
        lambda: objects.delete("k"),
        lambda: objects.keys("k"),
    ]


def test_an_endpoint_that_dies_is_told_and_the_second_try_works(
    server: S3Server, at: Settings
) -> None:
    objects = Vault(at(server.url)).objects
    objects.put("k", b"kept")

    server.kill()

    for use in all_of_it(objects):
        with pytest.raises(ObjectsUnavailable, match="MENOS_VAULT_S3_ENDPOINT"):
            use()
    assert ObjectsUnavailable.retryable
    health = objects.health()
    assert not health.ok
    assert "MENOS_VAULT_S3_ENDPOINT" in health.fix
    server.start()
    assert objects.get("k") == b"kept"
    objects.put("k", b"again")
    assert objects.get("k") == b"again"


def test_an_endpoint_that_dies_in_the_middle_of_a_put_keeps_the_old_object(
    server: S3Server, at: Settings
) -> None:
    objects = Vault(at(server.url)).objects
    objects.put("k", b"old")
    errors: list[Exception] = []

    def put() -> None:
        try:
            objects.put("k", b"x" * 60_000_000)
        except ObjectsUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    while thread.is_alive() and not any(server.folder.rglob(".rclone_temp_put_*")):
        time.sleep(0.002)
    server.kill()
    thread.join()

    assert len(errors) == 1
    server.start()
    assert objects.get("k") == b"old"
    objects.put("k", b"new")
    assert objects.get("k") == b"new"


def test_an_endpoint_that_is_away_for_a_moment_is_not_noticed(
    server: S3Server, at: Settings
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    objects = Vault(at(f"http://127.0.0.1:{listener.getsockname()[1]}")).objects
    behind = socket.create_connection(("127.0.0.1", server.port))

    def drop_one_then_pass_one_on() -> None:
        listener.accept()[0].close()
        client = listener.accept()[0]
        for source, sink in ((client, behind), (behind, client)):
            threading.Thread(target=pump, args=(source, sink), daemon=True).start()

    thread = threading.Thread(target=drop_one_then_pass_one_on)
    thread.start()

    assert not objects.exists("k")
    thread.join()
    for part in (listener, behind):
        part.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        pass
    source.close()


@pytest.mark.parametrize("wrong", [{"s3_secret_key": "wrong"}, {"s3_access_key": "nobody"}])
def test_a_wrong_key_is_no_reason_to_try_again(
    server: S3Server, at: Settings, wrong: dict[str, str]
) -> None:
    objects = Vault(at(server.url, **wrong)).objects

    for use in all_of_it(objects):
        with pytest.raises(ObjectsRefused, match=r"S3_ACCESS_KEY and .*S3_SECRET_KEY"):
            use()
    assert "MENOS_VAULT_S3_SECRET_KEY" in objects.health().fix


def test_a_bucket_that_was_deleted_is_made_again(server: S3Server, at: Settings) -> None:
    import shutil

    objects = Vault(at(server.url)).objects
    objects.put("k", b"1")
    server.kill()
    shutil.rmtree(server.folder / "bucket")
    server.start()

    assert not objects.exists("k")
    objects.delete("k")
    assert objects.health().message.endswith("will be made at the first write")
    objects.put("k", b"2")
    assert objects.get("k") == b"2"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"HTTP/1.1 503 Slow\r\nContent-Length: 0\r\n\r\n", ObjectsUnavailable, "status 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", ObjectsUnavailable, "cannot read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", ObjectsUnavailable, "cannot read"),
        (b"SSH-2.0-OpenSSH\r\n", ObjectsUnavailable, "cannot read"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", ObjectNotFound, "no object"),
        (b"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nno", ObjectsRefused, "MENOS_VAULT_S3_REGI"),
        (
            b"HTTP/1.1 500 No\r\nContent-Type: application/xml\r\nContent-Length: 5\r\n\r\n<oops",
            ObjectsUnavailable,
            "cannot read",
        ),
    ],
)
def test_an_answer_is_taken_for_what_its_status_says(
    at: Settings, answer: bytes, error: type[Exception], said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(3):
                try:
                    client = listener.accept()[0]
                except OSError:
                    return
                with client:
                    client.recv(65_536)
                    client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        objects = Vault(at(f"http://127.0.0.1:{listener.getsockname()[1]}")).objects

        with pytest.raises(error, match=said):
            objects.get("k")


def test_a_server_that_says_nothing_is_given_up(at: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = at(f"http://127.0.0.1:{listener.getsockname()[1]}", s3_timeout=0.2)
        begun = time.monotonic()

        with pytest.raises(ObjectsUnavailable, match="timed out"):
            Vault(settings).objects.get("k")

    assert time.monotonic() - begun < 5


def test_a_link_to_a_transcript_is_signed_for_the_readers_name_of_the_server(
    server: S3Server, at: Settings
) -> None:
    settings = at("http://127.0.0.1:1", s3_public_endpoint=server.url)
    store = Vault(at(server.url)).objects
    store.put("yt/raw.json", b"{}")
    with Vault(settings) as vault:
        content = vault.records.put_content(
            "yt:x", content_type="youtube", title="T", objects={"transcript": "yt/raw.json"}
        )

        link = vault.link(content.id, seconds=60)

        with pytest.raises(ObjectNotFound, match="text"):
            vault.link(content.id, "text")
    import httpx

    assert link is not None
    answer = httpx.get(link, trust_env=False)
    assert (answer.content, answer.headers["content-type"]) == (b"{}", "application/json")


def test_a_missing_client_says_how_to_install_it(
    at: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "minio", None)
    vault = Vault(at("http://127.0.0.1:1"))

    with pytest.raises(ObjectsRefused, match=r"pip install 'menos-vault\[s3\]'"):
        _ = vault.objects
    assert not next(found for found in vault.health() if found.name == "objects").ok
