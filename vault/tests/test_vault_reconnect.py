"""A database server that goes away and comes back, or forgets who we are."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from menos_vault import Chunk, RecordsUnavailable, Vault
from menos_vault.records.surreal import SurrealRecords
from surreal_server import ENGINES, SurrealServer, packages_of


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SurrealServer]:
    packages = packages_of(getattr(request, "param", ENGINES[0]), request.config)
    server = SurrealServer(f"surrealkv://{tmp_path / 'database'}", packages)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def vault(server: SurrealServer, tmp_path: Path) -> Iterator[Vault]:
    with Vault(server.settings(tmp_path / "home")) as vault:
        yield vault


def put(vault: Vault, key: str = "k") -> str:
    content = vault.records.put_content(key, content_type="text", title="Sea")
    chunk = Chunk(index=0, text="albatross")
    vault.records.replace_chunks(content.id, [chunk], np.eye(4, dtype=np.float32)[:1], model="m")
    return content.id


@pytest.mark.parametrize("server", ENGINES, indirect=True)
def test_a_server_that_was_started_again_is_used_again(server: SurrealServer, vault: Vault) -> None:
    identity = put(vault)

    server.kill()
    server.start()

    assert vault.records.get_content(identity).title == "Sea"
    assert len(vault.records.search(query="albatross", by_words=True)) == 1
    server.kill()
    server.start()
    put(vault, "second")
    assert vault.records.counts() == (2, 2)


def test_while_a_server_is_away_calls_fail_and_may_be_tried_again(
    server: SurrealServer, vault: Vault
) -> None:
    identity = put(vault)
    server.kill()

    for _ in range(2):
        with pytest.raises(RecordsUnavailable) as refused:
            vault.records.get_content(identity)
        assert refused.value.retryable

    server.start()
    assert vault.records.get_content(identity).title == "Sea"


def test_a_restart_in_the_middle_of_many_calls_leaves_whole_contents(
    server: SurrealServer, vault: Vault
) -> None:
    vault.records.ping()
    failed: list[BaseException] = []

    def write(name: str) -> None:
        deadline = time.monotonic() + 60  # a busy machine needs seconds to start a server
        for number in range(20):
            while True:
                try:
                    put(vault, f"{name}{number}")
                    break
                except RecordsUnavailable as error:
                    if time.monotonic() > deadline:
                        failed.append(error)
                        return
                    time.sleep(0.05)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    time.sleep(0.15)
    server.kill()
    server.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert vault.records.counts() == (80, 80)
    assert len(vault.records.search(query="albatross", by_words=True, limit=100)) == 80


def test_a_session_that_is_over_is_begun_again(
    server: SurrealServer, vault: Vault, tmp_path: Path
) -> None:
    records = vault.records
    assert isinstance(records, SurrealRecords)
    records._open().ask(
        "DEFINE USER short ON ROOT PASSWORD 'short' ROLES OWNER "
        "DURATION FOR TOKEN 1s, FOR SESSION 1s"
    )

    settings = server.settings(tmp_path / "other", username="short", password="short")
    with Vault(settings) as other:
        identity = put(other)
        for _ in range(2):
            time.sleep(1.1)
            assert other.records.get_content(identity).title == "Sea"


@pytest.mark.parametrize("server", ENGINES, indirect=True)
def test_a_wrong_password_is_named_as_the_cause(server: SurrealServer, tmp_path: Path) -> None:
    settings = server.settings(tmp_path / "other", password="wrong")

    said = r"authentication.*MENOS_VAULT_PASSWORD"
    with Vault(settings) as vault, pytest.raises(RecordsUnavailable, match=said):
        vault.records.ping()
