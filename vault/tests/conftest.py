import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from menos_vault import ModelUnavailable, Vault, VaultSettings
from menos_vault.records import Records
from surreal_server import ENGINES, SurrealServer, packages_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz", "cat", "dog", "mat"]
Told = dict[str, int]
Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("MENOS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> VaultSettings:
    return VaultSettings(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def vault(settings: VaultSettings) -> Iterator[Vault]:
    with Vault(settings) as vault:
        yield vault


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Callable[[str], SurrealServer]]:
    """The database servers that keep nothing, by engine; each is started at its first use."""
    started: dict[str, SurrealServer] = {}

    def server_of(engine: str) -> SurrealServer:
        if engine not in started:
            server = SurrealServer("mem://", packages_of(engine, request.config))
            server.start()
            started[engine] = server
        return started[engine]

    yield server_of
    for server in started.values():
        server.kill()


@pytest.fixture(scope="module", params=ENGINES)
def surreal(
    request: pytest.FixtureRequest, servers: Callable[[str], SurrealServer]
) -> SurrealServer:
    """A database server, of each engine in turn."""
    return servers(request.param)


@pytest.fixture(params=["embedded", *ENGINES])
def anywhere(
    request: pytest.FixtureRequest,
    settings: VaultSettings,
    servers: Callable[[str], SurrealServer],
) -> VaultSettings:
    """Settings of an empty vault: in this process, and at a server of each engine."""
    if request.param == "embedded":
        return settings
    return servers(request.param).settings(settings.home)


@pytest.fixture
def records(anywhere: VaultSettings) -> Iterator[Records]:
    """The records of an empty vault, in this process and at servers."""
    with Vault(anywhere) as vault:
        yield vault.records


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer and eight dimensions with random weights, in the usual files."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """A vault with the real model in the user's cache, fetched if it is not there."""
    with Vault(VaultSettings(home=tmp_path_factory.mktemp("home"))) as vault:
        try:
            vault.embeddings.prepare()
        except ModelUnavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield vault


@pytest.fixture
def odd_model(tmp_path: Path) -> Callable[[Told, Shapes], Path]:
    """Write a tiny model that has other values in its config, and tensors of other shapes."""

    def write(told: Told, shapes: Shapes) -> Path:
        write_tiny_model(tmp_path, told, shapes)
        return tmp_path

    return write


def write_tiny_model(folder: Path, told: Told | None = None, other: Shapes | None = None) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import BertProcessing

    tokenizer = Tokenizer(
        WordPiece({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(128)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 256,
        "hidden_size": 8,
        **(told or {}),
    }
    (folder / "config.json").write_text(json.dumps(config))
    layer = "encoder.layer.0"
    shapes = {
        "embeddings.word_embeddings.weight": (30_000, 8),
        "embeddings.position_embeddings.weight": (256, 8),
        "embeddings.token_type_embeddings.weight": (2, 8),
        f"{layer}.intermediate.dense.weight": (16, 8),
        f"{layer}.intermediate.dense.bias": (16,),
        f"{layer}.output.dense.weight": (8, 16),
        f"{layer}.output.dense.bias": (8,),
    }
    for part in ("self.query", "self.key", "self.value", "output.dense"):
        shapes[f"{layer}.attention.{part}.weight"] = (8, 8)
        shapes[f"{layer}.attention.{part}.bias"] = (8,)
    for part in ("embeddings", f"{layer}.attention.output", f"{layer}.output"):
        shapes[f"{part}.LayerNorm.weight"] = (8,)
        shapes[f"{part}.LayerNorm.bias"] = (8,)
    write_safetensors(folder / "model.safetensors", {**shapes, **(other or {})})


def write_safetensors(path: Path, shapes: Shapes) -> None:
    random = np.random.default_rng(1)
    header, body = {}, b""
    for name, shape in shapes.items():
        data = random.standard_normal(shape).astype("<f4").tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
