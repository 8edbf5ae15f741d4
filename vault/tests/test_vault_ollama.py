"""Embeddings by an Ollama server, against one that speaks its protocol."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from menos_vault import (
    Chunk,
    EmbeddingMismatch,
    ModelFailed,
    ModelMissing,
    ModelUnavailable,
    Vault,
    VaultSettings,
)
from menos_vault.embeddings import Embeddings
from menos_vault.embeddings.estimate import estimated_tokens
from ollama_server import Model, OllamaDouble, hashed, ollama

MXBAI = "mxbai-embed-large"


@pytest.fixture
def server() -> Iterator[OllamaDouble]:
    with ollama() as server:
        yield server


@pytest.fixture
def settings_at(tmp_path: Path) -> Callable[..., VaultSettings]:
    def settings_at(url: str, **changes: object) -> VaultSettings:
        given = {"embeddings": "ollama", "ollama_url": url} | changes
        return VaultSettings(home=tmp_path, **given)

    return settings_at


@pytest.fixture
def model(
    server: OllamaDouble, settings_at: Callable[..., VaultSettings]
) -> Callable[..., Embeddings]:
    return lambda **changes: Vault(settings_at(server.url, **changes)).embeddings


def test_vectors_come_in_the_order_of_the_texts_batch_by_batch(
    server: OllamaDouble, model: Callable[..., Embeddings]
) -> None:
    embeddings, seen = model(ollama_batch=3), []
    texts = [f"text number {number}" for number in range(8)]

    vectors = embeddings.embed_documents(texts, lambda done, total: seen.append((done, total)))

    expected = [hashed(f"search_document: {text}", 64) for text in texts]
    assert np.allclose(vectors, expected, atol=1e-6)
    assert vectors.dtype == np.float32
    sizes = [len(body["input"]) for body in server.posts("/api/embed")]
    assert sizes == [1, 3, 3, 2]  # the first asks for the dimension
    assert seen == [(3, 8), (6, 8), (8, 8)]
    assert embeddings.embed_documents([]).shape == (0, 64)


def test_model_and_dimension_are_what_the_server_says(
    server: OllamaDouble, model: Callable[..., Embeddings]
) -> None:
    embeddings, latest = model(), model(ollama_model="nomic-embed-text:latest")

    assert embeddings.dimension == 64
    assert embeddings.model.startswith("nomic-embed-text@")
    assert len(embeddings.model) == len("nomic-embed-text@12345678")
    assert latest.model == embeddings.model
    assert {body["keep_alive"] for body in server.posts("/api/embed")} == {"5m"}


@pytest.mark.parametrize(
    ("changes", "document", "query"),
    [
        ({}, "search_document: x", "search_query: x"),
        ({"ollama_document_prefix": "D ", "ollama_query_prefix": "none"}, "D x", "x"),
        (
            {"ollama_model": MXBAI},
            "x",
            "Represent this sentence for searching relevant passages: x",
        ),
        ({"ollama_model": "me/Nomic-Embed-Text:v1.5"}, "search_document: x", "search_query: x"),
        ({"ollama_model": "unheard-of"}, "x", "x"),
    ],
)
def test_a_text_has_the_prefix_that_its_model_wants(
    server: OllamaDouble,
    model: Callable[..., Embeddings],
    changes: dict[str, str],
    document: str,
    query: str,
) -> None:
    for name in (MXBAI + ":latest", "me/Nomic-Embed-Text:v1.5", "unheard-of:latest"):
        server.models[name] = Model(64)
    embeddings = model(**changes)

    embeddings.embed_documents(["x"])
    embeddings.embed_query("x")

    inputs = [body["input"] for body in server.posts("/api/embed")]
    assert inputs[1:] == [[document], [query]]


def test_a_missing_model_is_pulled_with_progress(
    server: OllamaDouble, model: Callable[..., Embeddings]
) -> None:
    embeddings, seen = model(ollama_model=MXBAI), []
    assert not embeddings.ready
    assert embeddings.health().ok
    assert "will be pulled" in embeddings.health().message

    embeddings.prepare(lambda done, total: seen.append((done, total)))

    assert embeddings.ready
    assert embeddings.dimension == 32
    assert seen == [(0, 1000), (500, 1000), (1000, 1000), (1000, 1020), (1010, 1020), (1020, 1020)]
    assert len(server.posts("/api/pull")) == 1
    assert embeddings.health().message.endswith(server.url)


def test_a_missing_model_that_is_not_to_be_pulled_says_what_to_run(
    server: OllamaDouble, model: Callable[..., Embeddings]
) -> None:
    embeddings = model(ollama_model=MXBAI, ollama_pull=False)

    for use in (embeddings.prepare, lambda: embeddings.embed_query("x"), lambda: embeddings.model):
        with pytest.raises(ModelMissing, match=f"`ollama pull {MXBAI}`"):
            use()
    assert not ModelMissing.retryable
    assert f"ollama pull {MXBAI}" in embeddings.health().fix
    assert server.posts("/api/pull") == []


def test_a_model_that_nobody_has_is_no_reason_to_try_again(
    model: Callable[..., Embeddings],
) -> None:
    with pytest.raises(ModelMissing, match=r"'typo'.*does not exist; check the model's name"):
        model(ollama_model="typo").prepare()


def test_a_model_that_was_removed_meanwhile_is_pulled_at_the_next_call(
    server: OllamaDouble, model: Callable[..., Embeddings]
) -> None:
    embeddings = model(ollama_model=MXBAI)
    embeddings.prepare()
    del server.models[MXBAI + ":latest"]

    with pytest.raises(ModelMissing):
        embeddings.embed_query("x")

    assert not embeddings.ready
    assert embeddings.embed_query("x").shape == (32,)
    assert len(server.posts("/api/pull")) == 2


def test_a_pull_that_breaks_off_can_be_repeated(
    server: OllamaDouble, model: Callable[..., Embeddings]
) -> None:
    embeddings = model(ollama_model=MXBAI)
    server.breaks_off = True
    with pytest.raises(ModelUnavailable, match="connection reset by peer"):
        embeddings.prepare()

    server.breaks_off = False

    assert embeddings.embed_query("x").shape == (32,)


def test_a_pull_that_takes_too_long_is_given_up(model: Callable[..., Embeddings]) -> None:
    with pytest.raises(ModelUnavailable, match="MENOS_VAULT_DOWNLOAD_TIMEOUT"):
        model(ollama_model=MXBAI, download_timeout=1e-9).prepare()


def test_a_server_that_is_down_is_told_and_the_second_try_works(
    settings_at: Callable[..., VaultSettings],
) -> None:
    with ollama() as server:
        port = server.server_port
        embeddings = Vault(settings_at(server.url)).embeddings
        embeddings.embed_query("x")
    fresh = Vault(embeddings._settings).embeddings  # type: ignore[attr-defined]

    for each in (embeddings, fresh):
        with pytest.raises(ModelUnavailable, match=r"`ollama serve`.*MENOS_VAULT_OLLAMA_URL"):
            each.embed_documents(["x"])
    assert ModelUnavailable.retryable
    assert not fresh.ready
    assert "MENOS_VAULT_OLLAMA_URL" in fresh.health().fix

    with ollama(port):
        for each in (embeddings, fresh):
            assert each.embed_documents(["x"]).shape == (1, 64)


@pytest.mark.parametrize("status", [500, 503])
def test_a_busy_server_is_asked_again_and_then_given_up(
    server: OllamaDouble, model: Callable[..., Embeddings], status: int
) -> None:
    embeddings = model()
    embeddings.prepare()
    trouble = (status, {"error": "server busy, please try again"})

    server.next.extend([trouble] * 2)
    assert embeddings.embed_query("x").shape == (64,)

    server.next.extend([trouble] * 3)
    with pytest.raises(ModelUnavailable, match=f"answered {status}: server busy"):
        embeddings.embed_query("x")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, {"error": "invalid input type"}), "answered 400: invalid input type"),
        ((403, b"<html>no</html>"), "correct MENOS_VAULT_OLLAMA_URL"),
        ((404, b"404 page not found"), "correct MENOS_VAULT_OLLAMA_URL"),
        ((301, b""), "correct MENOS_VAULT_OLLAMA_URL"),
        ((200, b"<html>hello</html>"), "does not answer as Ollama does"),
        ((200, b"[]"), "does not answer as Ollama does"),
        ((200, {"embeddings": [[1.0] * 64]}), "asked for 2 vectors"),
        ((200, {"embeddings": [[1.0] * 64] * 3}), "asked for 2 vectors"),
        ((200, {"embeddings": [[1.0] * 64, [1.0] * 63]}), "asked for 2 vectors"),
        ((200, {"embeddings": [["a"], ["b"]]}), "asked for 2 vectors"),
        ((200, {"embeddings": None}), "asked for 2 vectors"),
        ((200, {"embeddings": [[], []]}), "asked for 2 vectors"),
        ((200, {}), "asked for 2 vectors"),
        ((200, {"embeddings": [[0.0] * 64] * 2}), "all zero"),
        ((200, b'{"embeddings": [[NaN], [1]]}'), "not a number"),
        ((200, {"embeddings": [[1.0] * 65] * 2}), "65 dimensions, and of 64 before"),
    ],
)
def test_a_wrong_answer_is_refused(
    server: OllamaDouble, model: Callable[..., Embeddings], answer: tuple[int, object], said: str
) -> None:
    embeddings = model()
    embeddings.prepare()
    server.next.append(answer)

    with pytest.raises(ModelFailed, match=said):
        embeddings.embed_documents(["one", "two"])
    assert not ModelFailed.retryable


def test_a_model_that_only_writes_is_refused(model: Callable[..., Embeddings]) -> None:
    embeddings = model(ollama_model="llama3.2")

    with pytest.raises(ModelFailed, match="set MENOS_VAULT_OLLAMA_MODEL"):
        embeddings.prepare()


def test_a_silent_server_is_given_up(
    server: OllamaDouble, model: Callable[..., Embeddings]
) -> None:
    embeddings = model(ollama_timeout=0.3)
    embeddings.prepare()
    server.silence = 2
    begun = time.monotonic()

    with pytest.raises(ModelUnavailable, match="MENOS_VAULT_OLLAMA_TIMEOUT"):
        embeddings.embed_query("x")

    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("text", ["", " \n", "\x00", "\ud800 alone", "🦄"])
def test_any_text_gets_a_vector(model: Callable[..., Embeddings], text: str) -> None:
    embeddings = model(ollama_document_prefix="none")

    assert np.linalg.norm(embeddings.embed_documents([text])[0]) == pytest.approx(1, abs=1e-5)


def test_a_passage_that_is_too_long_is_refused_and_a_query_is_cut(
    model: Callable[..., Embeddings],
) -> None:
    embeddings, text = model(), "word " * 2_000

    with pytest.raises(ModelFailed, match="smaller MENOS_CONTENT_CHUNK_TOKENS"):
        embeddings.embed_documents(["fine", text])

    assert embeddings.embed_query(text).shape == (64,)


@pytest.mark.parametrize(
    ("has", "tokens"),
    [
        (Model(64, context=2048), 1530),
        (Model(64, context=512, parameters="num_ctx                        256\nstop x"), 186),
        (Model(64, context=512, parameters="num_ctx 8192"), 378),
    ],
)
def test_passages_leave_room_in_what_the_model_reads(
    server: OllamaDouble, model: Callable[..., Embeddings], has: Model, tokens: int
) -> None:
    server.models["nomic-embed-text:latest"] = has

    assert model().max_tokens == tokens


def test_tokens_are_estimated_cautiously(minilm: Vault, model: Callable[..., Embeddings]) -> None:
    prose = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    embeddings = model()

    estimated = embeddings.count_tokens(prose)

    assert 1.0 <= estimated / minilm.embeddings.count_tokens(prose) <= 1.6
    assert estimated_tokens("") == 0
    assert estimated_tokens("a b漢字 12345") == 7
    assert list(embeddings.token_starts("a b漢字 12345")) == [0, 2, 3, 4, 6, 8, 10]
    for text in (prose, "🦄 naïve\u00a0größer\r\n\t3.14159", "x" * 99, "\u3000。"):
        assert estimated_tokens(text) == len(embeddings.token_starts(text))


def test_the_real_model_behind_the_server_finds_by_meaning(
    server: OllamaDouble, settings_at: Callable[..., VaultSettings], minilm: Vault
) -> None:
    server.models["nomic-embed-text:latest"] = Model(384)
    server.vectors = lambda texts: minilm.embeddings.embed_documents(texts).tolist()
    texts = ["How to bake sourdough bread", "A database of vectors", "Rules of the road in France"]

    with Vault(settings_at(server.url)) as vault:
        records, embeddings = vault.records, vault.embeddings
        content = records.put_content("k", content_type="text", title="T")
        chunks = [Chunk(index=index, text=text) for index, text in enumerate(texts)]
        vectors = embeddings.embed_documents(texts)
        records.replace_chunks(content.id, chunks, vectors, model=embeddings.model)
        hits = records.search(
            embeddings.embed_query("driving a car abroad"), model=embeddings.model, limit=1
        )

        assert hits[0].chunk.text == texts[2]
        assert minilm.embeddings.dimension == embeddings.dimension
        with pytest.raises(EmbeddingMismatch, match=r"'nomic-embed-text@.*'all-MiniLM-L6-v2'"):
            records.search(minilm.embeddings.embed_query("x"), model=minilm.embeddings.model)


@pytest.mark.parametrize("url", ["ollama:11434", "", "ftp://x", "http://", "http://x:99999"])
def test_a_url_that_is_none_is_refused(settings_at: Callable[..., VaultSettings], url: str) -> None:
    with pytest.raises(ValidationError, match="must be http://host:port"):
        settings_at(url)
