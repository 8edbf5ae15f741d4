import gc
import re
import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from menos_vault import Chunk, ModelCorrupt, ModelUnavailable, Vault, VaultSettings
from menos_vault.embeddings.graph import build_graph
from menos_vault.embeddings.local import LocalEmbeddings

# Text → the first numbers of its vector, by torch 2.13.0 and transformers 5.23.0 with the same
# weights (mean over real tokens, cut at 256, length 1).
REFERENCE = {
    "The cat sits on the mat.": [0.134177, -0.0329, -0.024804, 0.041439, -0.036348, 0.041814],
    "SurrealDB keeps records and vectors.": [
        *(0.02333, -0.054647, -0.044058),
        *(0.034334, 0.000124, 0.09501),
    ],
    "Ein Satz mit Umlauten: größer, schöner, Übung.": [
        *(-0.015286, 0.033019, -0.018466),
        *(-0.068701, -0.077813, 0.118731),
    ],
    "word " * 400: [-0.008124, -0.095586, -0.038673, 0.049662, -0.043794, 0.02372],
}
BFLOAT16 = 2e-3
"""How much a number of a vector of length 1 may differ from the exact one by rounding."""


@pytest.fixture
def tiny(settings: VaultSettings, tiny_model: Path) -> LocalEmbeddings:
    return LocalEmbeddings(settings.model_copy(update={"model_path": tiny_model}))


def test_the_graph_is_the_reference_implementation(minilm: Vault) -> None:
    import openvino

    folder = minilm.settings.cache / "models" / "all-MiniLM-L6-v2"
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab_size()
    graph = build_graph(openvino, folder, mapped=True, vocabulary=vocabulary)
    exact = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    rows = tokenizer.encode_batch(list(REFERENCE))
    ids = np.array([row.ids for row in rows], dtype=np.int64)
    mask = np.array([row.attention_mask for row in rows], dtype=np.int64)

    vectors = exact([ids, mask])[0]

    assert np.abs(vectors[:, :6] - np.array(list(REFERENCE.values()))).max() < 1e-5


def test_vectors_equal_the_reference_as_precisely_as_the_processor_is_used(minilm: Vault) -> None:
    assert isinstance(minilm.embeddings, LocalEmbeddings)
    exact = minilm.embeddings.precision == "f32"

    vectors = minilm.embeddings.embed_documents(list(REFERENCE))

    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.abs(vectors[:, :6] - np.array(list(REFERENCE.values()))).max() < (
        1e-5 if exact else BFLOAT16
    )


def test_the_real_model_finds_by_meaning(minilm: Vault) -> None:
    texts = ["How to bake sourdough bread", "A database of vectors", "Rules of the road in France"]
    content = minilm.records.put_content("k", content_type="text", title="T")
    chunks = [Chunk(index=index, text=text) for index, text in enumerate(texts)]
    embeddings = minilm.embeddings
    minilm.records.replace_chunks(
        content.id, chunks, embeddings.embed_documents(texts), model=embeddings.model
    )

    hits = minilm.records.search(
        embeddings.embed_query("driving a car abroad"), model=embeddings.model, limit=2
    )

    assert hits[0].chunk.text == texts[2]


def test_the_real_model_counts_tokens_as_it_uses_them(minilm: Vault) -> None:
    embeddings = minilm.embeddings

    assert (embeddings.model, embeddings.dimension) == ("all-MiniLM-L6-v2", 384)
    assert embeddings.max_tokens == 254
    assert embeddings.count_tokens("word " * 400) == 400
    full = embeddings.embed_query("word " * 254)
    assert np.allclose(embeddings.embed_query("word " * 254 + "cut off"), full, atol=1e-6)
    assert not np.allclose(embeddings.embed_query("word " * 253), full, atol=1e-6)


def test_vectors_do_not_depend_on_company_or_order(tiny: LocalEmbeddings) -> None:
    texts = ["cat " * (number % 40) + "dog" for number in range(100)]

    together = tiny.embed_documents(texts)
    backwards = tiny.embed_documents(texts[::-1])[::-1]

    assert np.allclose(together, backwards, atol=1e-5)
    assert np.allclose(together[7], tiny.embed_query(texts[7]), atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_progress_goes_up_to_the_number_of_texts(tiny: LocalEmbeddings) -> None:
    seen: list[tuple[int, int]] = []

    tiny.embed_documents(["cat"] * 70, on_progress=lambda done, total: seen.append((done, total)))

    assert seen == sorted(set(seen))
    assert seen[-1] == (70, 70)


@pytest.mark.parametrize("text", ["", "\x00", "\ud800 alone", "🦄" * 5000, " \n\t", "a" * 100_000])
def test_any_text_gets_a_vector(tiny: LocalEmbeddings, text: str) -> None:
    assert np.linalg.norm(tiny.embed_query(text)) == pytest.approx(1, abs=1e-5)


def test_no_texts_give_no_vectors(tiny: LocalEmbeddings) -> None:
    assert tiny.embed_documents([]).shape == (0, 8)


@pytest.mark.parametrize("between", [" ", "\n", "\ud800 "])
def test_tokens_are_counted_and_have_places_however_many_there_are(
    tiny: LocalEmbeddings, between: str
) -> None:
    text = between.join(["cat dog"] * 40_000)

    starts = tiny.token_starts(text)

    assert len(starts) == tiny.count_tokens(text) >= 80_000
    assert {text[place] for place in starts} <= {"c", "d", "\ud800"}
    assert tiny.count_tokens("") == len(tiny.token_starts("")) == 0


def test_threads_share_one_model(tiny: LocalEmbeddings) -> None:
    results: list[float] = []

    def work() -> None:
        results.append(float(tiny.embed_query("cat dog mat")[0]))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 8
    assert results == pytest.approx([results[0]] * 8, abs=1e-6)


def test_vaults_of_a_process_have_one_model_together_as_long_as_one_has_it(
    settings: VaultSettings, tiny_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "own")
    own = settings.model_copy(update={"model_path": folder})
    first, second, third = (LocalEmbeddings(own) for _ in range(3))
    vector = first.embed_query("sea")
    (folder / "tokenizer.json").unlink()

    assert (second.embed_query("sea") == vector).all()
    del first, second
    gc.collect()
    with pytest.raises(ModelCorrupt):
        third.embed_query("sea")


def test_vaults_that_load_a_model_at_the_same_time_have_one_together(
    settings: VaultSettings, tiny_model: Path
) -> None:
    own = settings.model_copy(update={"model_path": tiny_model})
    vaults = [LocalEmbeddings(own) for _ in range(4)]
    together = threading.Barrier(len(vaults))

    def load(embeddings: LocalEmbeddings) -> object:
        together.wait()
        return embeddings._load()

    with ThreadPoolExecutor(len(vaults)) as pool:
        runtimes = list(pool.map(load, vaults))

    assert runtimes.count(runtimes[0]) == len(vaults)


def test_an_own_model_has_a_name_that_tells_its_weights(
    tiny: LocalEmbeddings, tiny_model: Path
) -> None:
    assert tiny.ready
    assert tiny.model.startswith(f"{tiny_model.name}@")
    assert tiny.dimension == 8


def test_a_missing_runtime_is_named_and_no_model_is_blamed(
    settings: VaultSettings, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unloaded = shutil.copytree(tiny_model, tmp_path / "own")
    embeddings = LocalEmbeddings(settings.model_copy(update={"model_path": unloaded}))
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(ModelUnavailable, match=r"openvino.*cannot be imported.*install"):
        embeddings.embed_query("cat")


def test_an_own_model_that_is_missing_is_named(settings: VaultSettings, tmp_path: Path) -> None:
    embeddings = LocalEmbeddings(settings.model_copy(update={"model_path": tmp_path / "gone"}))

    assert not embeddings.ready
    with pytest.raises(ModelCorrupt, match=r"MENOS_VAULT_MODEL_PATH is .*gone"):
        embeddings.embed_query("x")


def test_an_own_model_that_is_damaged_is_named(
    settings: VaultSettings, tiny_model: Path, tmp_path: Path
) -> None:
    for name in ("tokenizer.json", "config.json"):
        (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    whole = (tiny_model / "model.safetensors").read_bytes()
    for data in (b"", whole[:5], whole[: len(whole) // 2], b"\xff" * 100):
        (tmp_path / "model.safetensors").write_bytes(data)

        with pytest.raises(ModelCorrupt, match=r"model\.safetensors"):
            LocalEmbeddings(settings.model_copy(update={"model_path": tmp_path})).prepare()


@pytest.mark.parametrize(
    ("told", "shapes"),
    [
        ({"num_attention_heads": 3}, {}),
        ({}, {"embeddings.position_embeddings.weight": (128, 8)}),
        ({}, {"embeddings.word_embeddings.weight": (4, 8)}),
        ({}, {"encoder.layer.0.output.dense.weight": (8, 15)}),
    ],
)
def test_an_own_model_whose_files_do_not_fit_together_is_refused_before_it_is_used(
    settings: VaultSettings, odd_model: Callable[..., Path], told: object, shapes: object
) -> None:
    folder = odd_model(told, shapes)

    with pytest.raises(ModelCorrupt, match=re.escape(str(folder))):
        LocalEmbeddings(settings.model_copy(update={"model_path": folder})).prepare()


def test_an_own_model_of_few_positions_gets_texts_of_as_many_tokens(
    settings: VaultSettings, odd_model: Callable[..., Path]
) -> None:
    few = {"embeddings.position_embeddings.weight": (100, 8)}
    folder = odd_model({"max_position_embeddings": 100}, few)
    small = LocalEmbeddings(settings.model_copy(update={"model_path": folder}))

    full = small.embed_query("cat " * 98)

    assert small.max_tokens == 98
    assert np.allclose(small.embed_documents(["cat " * 98 + "dog"])[0], full, atol=1e-5)
    assert not np.allclose(small.embed_query("cat " * 97 + "dog"), full, atol=1e-5)


def test_the_runtime_leaves_nothing_in_the_home_and_reports_to_nobody(
    tiny_model: Path, tmp_path: Path
) -> None:
    import os
    import subprocess
    import sys

    home = tmp_path / "home"
    home.mkdir()
    outside = ("CI", "MENOS_", "XDG_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    env |= {"HOME": str(home), "MENOS_VAULT_MODEL_PATH": str(tiny_model)}
    env |= {"MENOS_HOME": str(tmp_path / "data"), "MENOS_VAULT_CACHE": str(tmp_path / "cache")}
    code = (
        "import sys, menos_vault as v; print(v.open_vault().embeddings.embed_query('x').shape); "
        "sys.exit([name for name in sys.modules if name.startswith('openvino_telemetry')] or None)"
    )

    subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True)

    assert [path.name for path in home.rglob("*") if path.is_file()] == []
