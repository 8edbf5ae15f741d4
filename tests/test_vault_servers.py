"""A real bus with objects at a real S3 endpoint and models at a server that speaks Ollama's API."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from menos_vault import Vault, VaultSettings
from ollama_server import Model, OllamaDouble, ollama
from running import RunningBus, clean_environment, poll, start_bus
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server

TEXTS = {
    "Bees": "Honey bees dance to tell their sisters where the flowers are.",
    "Bread": "Sourdough rises because wild yeast ferments the flour.",
    "Ships": "A keel keeps a sailing boat upright.",
}
MINILM = "all-minilm"


class Ollama:
    """The server at one address, which can go away and come back; MiniLM makes its vectors."""

    def __init__(self, model: Vault) -> None:
        self._model = model
        self._up = ExitStack()
        self._port = 0
        self.server = self.start()

    def start(self) -> OllamaDouble:
        self.server = self._up.enter_context(ollama(self._port))
        self._port = self.server.server_port
        self.server.vectors = lambda texts: self._model.embeddings.embed_documents(texts).tolist()
        self.server.models = {f"{MINILM}:latest": Model(384, context=256)}
        self.server.at_the_registry = {"llama3.2:latest": Model()}
        return self.server

    def stop(self) -> None:
        self._up.close()


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def models(model, tmp_path_factory):
    with Vault(VaultSettings(home=tmp_path_factory.mktemp("model"))) as vault:
        models = Ollama(vault)
        yield models
        models.stop()


@pytest.fixture(scope="module")
def env(s3, models, tmp_path_factory):
    return {
        **clean_environment(tmp_path_factory.mktemp("bus")),
        "MENOS_MAX_RETRIES": "3",
        "MENOS_VAULT_OBJECTS": "s3://menos/vault",
        "MENOS_VAULT_S3_ENDPOINT": s3.url,
        "MENOS_VAULT_S3_ACCESS_KEY": ACCESS_KEY,
        "MENOS_VAULT_S3_SECRET_KEY": SECRET_KEY,
        "MENOS_VAULT_EMBEDDINGS": "ollama",
        "MENOS_VAULT_OLLAMA_URL": models.server.url,
        "MENOS_VAULT_OLLAMA_MODEL": MINILM,
        "MENOS_CONTENT_SUMMARIES": "ollama",
    }


@pytest.fixture(scope="module")
def bus(env):
    bus = start_bus(env)
    yield bus
    bus.close()


def store(bus: RunningBus, title: str) -> str:
    stored = bus.result("tasks.store_content", TEXTS[title], title, resource_key=f"doc:{title}")
    return str(stored["content_id"])


@pytest.fixture
def filled(bus):
    """The texts are in the vault, whichever tests have run before."""
    for title in TEXTS:
        bus.result("tasks.process_content", store(bus, title))


def best(bus: RunningBus, query: str) -> str:
    return str(bus.result("tasks.semantic_search", query, mode="semantic")["results"][0]["title"])


def state(bus: RunningBus, task_id: str, *states: str) -> bool:
    return bus.outcome(task_id)["state"] in states


def test_what_is_stored_is_processed_by_the_servers_and_found_by_meaning(bus, s3, models):
    server = models.server
    server.models[f"{MINILM}:latest"], fetched = Model(), server.models.pop(f"{MINILM}:latest")
    server.models.clear()
    server.at_the_registry[f"{MINILM}:latest"] = fetched
    ids = {title: store(bus, title) for title in TEXTS}

    server.goes_on.clear()
    first = bus.submit("tasks.process_content", ids["Bees"])
    pulling = poll(lambda: bus.outcome(first).get("progress"), what="progress of the pull")
    server.goes_on.set()

    assert (pulling["stage"], pulling["total"]) == ("fetching the embedding model", 1000)
    assert pulling["done"] < 1000
    done = {"embed": "completed", "summarize": "completed"}
    assert bus.outcome(first, timeout=60)["result"] == done
    for title in ("Bread", "Ships"):
        assert bus.result("tasks.process_content", ids[title]) == done
    assert [body["model"] for body in server.posts("/api/pull")] == [MINILM, "llama3.2"]
    assert best(bus, "how do insects talk to each other?") == "Bees"
    assert best(bus, "baking a loaf") == "Bread"
    shown = json.loads(bus.cli("vault", "show", ids["Ships"]).stdout)
    assert (shown["status"], shown["metadata"]["digest"]["model"]) == ("processed", "llama3.2")
    assert httpx.get(shown["links"]["text"], trust_env=False).text == TEXTS["Ships"]
    kept = [path for path in Path(s3.folder).rglob("*") if path.is_file()]
    assert sorted(path.parent.name for path in kept) == sorted(ids.values())


@pytest.mark.usefixtures("filled")
def test_a_call_in_whose_middle_the_models_go_away_is_done_when_they_are_back(bus, models):
    content = bus.result("tasks.store_content", "Comets have tails of dust.", "Comets")
    models.server.goes_on.clear()
    task_id = bus.submit("tasks.process_content", content["content_id"], ["embed"])
    poll(lambda: models.server.posts("/api/embed")[-1]["input"][0].startswith("Comets"))

    models.stop()
    poll(lambda: state(bus, task_id, "RETRY"), what="a retry")

    assert bus.outcome(task_id)["error"]["code"] == "model_unavailable"
    models.start()
    assert bus.outcome(task_id, timeout=60)["result"] == {"embed": "completed"}
    assert best(bus, "dust in the sky") == "Comets"


@pytest.mark.usefixtures("filled")
def test_what_finds_no_server_is_a_dead_letter_and_done_when_it_is_replayed(bus, s3, models):
    before = bus.result("tasks.vault_stats")
    models.stop()
    s3.kill()

    search = bus.submit("tasks.semantic_search", "baking", mode="semantic")
    stored = bus.submit("tasks.store_content", "Owls hear mice under snow.", "Owls")
    failed = {task_id: bus.outcome(task_id, timeout=60)["error"] for task_id in (search, stored)}

    assert {error["code"]: error["tries"] for error in failed.values()} == {
        "model_unavailable": 4,
        "objects_unavailable": 4,
    }
    assert "MENOS_VAULT_OLLAMA_URL" in failed[search]["message"]
    assert "MENOS_VAULT_S3_ENDPOINT" in failed[stored]["message"]
    assert bus.result("tasks.vault_stats") == before
    letters = json.loads(bus.cli("dead", "list", "--json").stdout)
    assert [(letter["id"], letter["reason"]) for letter in letters] == [
        (stored, failed[stored]["message"])
    ]

    models.start()
    s3.start()
    assert bus.cli("dead", "replay", "--all").returncode == 0
    assert best(bus, "baking") == "Bread"
    poll(lambda: state(bus, stored, "SUCCESS"), what="the stored text")
    assert bus.result("tasks.vault_stats")["contents"] == before["contents"] + 1


@pytest.mark.usefixtures("filled")
def test_a_model_that_nobody_has_is_named_and_the_next_call_may_have_it(bus, models):
    known = models.server.models.pop(f"{MINILM}:latest")

    lost = bus.outcome(bus.submit("tasks.semantic_search", "baking"), timeout=60)

    assert (lost["error"]["code"], lost["error"]["tries"]) == ("model_missing", 1)
    assert f"ollama pull {MINILM}" in lost["error"]["message"]
    models.server.models[f"{MINILM}:latest"] = known
    assert best(bus, "baking") == "Bread"


@pytest.mark.usefixtures("filled")
def test_another_model_is_refused_until_the_vault_is_reindexed(bus, env, models):
    chunks = bus.result("tasks.vault_stats")["chunks"]
    assert bus.stop() == 0
    models.server.models["other:latest"] = Model(32)
    models.server.vectors = None
    bus = start_bus({**env, "MENOS_VAULT_OLLAMA_MODEL": "other"})
    try:
        refused = bus.cli("call", "tasks.semantic_search", "baking")
        stored = bus.result("tasks.store_content", "Ants follow a scent.", "Ants")
        process = bus.submit("tasks.process_content", stored["content_id"], ["embed"])
        failed = bus.outcome(process, timeout=60)["error"]

        assert refused.returncode == 1
        assert "384 dimensions" in refused.stderr
        assert (failed["code"], failed["tries"]) == ("embedding_mismatch", 1)
        assert "tasks.reindex_content" in failed["message"]
        assert bus.result("tasks.vault_stats")["chunks"] == chunks

        assert bus.cli("vault", "reindex", "--missing").returncode == 0
        stats = bus.result("tasks.vault_stats")
        assert (stats["dimension"], stats["statuses"]) == (32, {"processed": stats["contents"]})
        assert best(bus, "Ants follow a scent") == "Ants"
    finally:
        bus.close()
