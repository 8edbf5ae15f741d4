"""tasks.semantic_search"""

import pytest

import menos_search.plugin
from menos_bus import InvalidCall, TaskFailed
from menos_bus.testing import TestBus
from menos_vault import Chunk, close_vault, open_vault

TEXTS = {
    "Bread": "Sourdough rises because wild yeast ferments the flour overnight.",
    "Moon": "The tides follow the pull of the moon on the oceans.",
    "Queues": "A message broker keeps jobs until a worker has finished them.",
    "Cats": "Kittens sleep for most of the day and hunt at dusk.",
}


@pytest.fixture
def bus(tmp_path, monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    yield TestBus(menos_search.plugin)
    close_vault()


def store(model, title, chunks, **fields):
    records = open_vault().records
    fields = {"content_type": "text"} | fields
    content = records.put_content(f"doc:{title}", title=title, **fields)
    vectors = model.embed_documents([chunk.text for chunk in chunks])
    records.replace_chunks(content.id, chunks, vectors, model=model.model)
    return content.id


@pytest.fixture
def documents(bus, model):
    return {
        title: store(model, title, [Chunk(index=0, text=text)]) for title, text in TEXTS.items()
    }


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("why does dough get bigger", "Bread"),
        ("what makes the sea level go up and down", "Moon"),
        ("where do tasks wait before they are executed", "Queues"),
        ("pets that rest a lot", "Cats"),
    ],
)
def test_a_question_in_other_words_finds_its_passage(bus, documents, query, title):
    found = bus.call("tasks.semantic_search", query)

    assert found["query"] == query
    best = found["results"][0]
    score = best.pop("score")
    assert best == {"content_id": documents[title], "title": title, "text": TEXTS[title]}
    assert 0 < score <= 1
    scores = [result["score"] for result in found["results"][1:]]
    assert [score, *scores] == sorted([score, *scores], reverse=True)
    assert len(found["results"]) == len(TEXTS)


def test_limit_bounds_the_results(bus, documents):
    assert len(bus.call("tasks.semantic_search", "anything", limit=2)["results"]) == 2


def test_an_empty_vault_has_no_results_and_needs_no_model(bus, tmp_path, monkeypatch):
    monkeypatch.setenv("MENOS_VAULT_CACHE", str(tmp_path / "cache"))

    found = bus.call("tasks.semantic_search", "anything")

    assert found == {"query": "anything", "results": []}
    assert not (tmp_path / "cache").exists()


def test_a_passage_of_a_video_links_to_its_second(bus, model):
    chunks = [
        Chunk(index=0, text="Welcome to the talk.", start=0.0),
        Chunk(index=1, text="Now we look at compilers and parsers.", start=93.7),
    ]
    url = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
    store(model, "Talk", chunks, content_type="youtube", url=url)

    [best] = bus.call("tasks.semantic_search", "how source code is parsed", limit=1)["results"]

    assert best["start"] == 93.7
    assert best["url"] == f"{url}&t=93s"


@pytest.mark.parametrize(
    "query",
    [
        "'; DELETE content; --",
        'say "what" \\ `this`',
        "$vector <|1,40|> type::record('x')",
        "世界 🎉",
    ],
)
def test_a_query_is_data(bus, documents, query):
    found = bus.call("tasks.semantic_search", query)

    assert found["query"] == query
    assert len(found["results"]) == open_vault().records.counts().contents == len(TEXTS)


def test_vectors_of_another_model_are_a_permanent_failure_that_names_both(bus, documents):
    open_vault().records.change_model("another-model", 384)

    with pytest.raises(TaskFailed, match=r"another-model.*MiniLM") as failed:
        bus.call("tasks.semantic_search", "anything")

    assert (failed.value.code, failed.value.tries) == ("embedding_mismatch", 1)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": " \n\t"}, "query"),
        ({"query": "x" * 2001}, "query"),
        ({"query": 7}, "query"),
        ({"query": ["x"]}, "query"),
        ({"query": "lone \ud800 surrogate"}, "query"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": 101}, "limit"),
        ({"query": "x", "limit": "many"}, "limit"),
        ({"query": "x", "top": 3}, "top"),
    ],
)
def test_a_bad_argument_is_named(bus, arguments, field):
    with pytest.raises(InvalidCall) as refused:
        bus.call("tasks.semantic_search", **arguments)

    assert refused.value.problems[0].field == field
