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
    best.pop("highlights")
    assert best == {"content_id": documents[title], "title": title, "text": TEXTS[title]}
    assert 0 < score <= 1
    assert len(found["results"]) == len(TEXTS)


def test_a_semantic_search_lists_passages_by_their_score(bus, documents):
    found = bus.call("tasks.semantic_search", "pets that rest a lot", mode="semantic")

    scores = [result["score"] for result in found["results"]]
    assert scores == sorted(scores, reverse=True)


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
        ({"query": "\u200b\ufeff"}, "query"),
        ({"query": "x" * 10_001}, "query"),
        ({"query": 7}, "query"),
        ({"query": ["x"]}, "query"),
        ({"query": "lone \ud800 surrogate"}, "query"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": 101}, "limit"),
        ({"query": "x", "limit": "many"}, "limit"),
        ({"query": "x", "top": 3}, "top"),
        ({"query": "x", "mode": "fuzzy"}, "mode"),
        ({"query": "x", "offset": -1}, "offset"),
        ({"query": "x", "group_by": "author"}, "group_by"),
        ({"query": "x", "tags": [""]}, "tags.0"),
        ({"query": "x", "published_from": "yesterday"}, "published_from"),
        ({"query": "x", "published_from": "2024"}, "published_from"),
        ({"query": "x", "published_before": 1714521600}, "published_before"),
    ],
)
def test_a_bad_argument_is_named(bus, arguments, field):
    with pytest.raises(InvalidCall) as refused:
        bus.call("tasks.semantic_search", **arguments)

    assert refused.value.problems[0].field == field


def test_a_name_is_found_by_its_letters_and_highlighted(bus, model):
    store(model, "Manual", [Chunk(index=0, text="Set MENOS_XYZZY42 before the start.")])
    for title, text in TEXTS.items():
        store(model, title, [Chunk(index=0, text=text)])

    for mode in ("hybrid", "keyword"):
        best = bus.call("tasks.semantic_search", "menos_xyzzy42", mode=mode)["results"][0]
        assert best["title"] == "Manual"
        assert [best["text"][a:b] for a, b in best["highlights"]] == ["MENOS_XYZZY42"]


def test_words_alone_need_no_model(bus, documents, tmp_path, monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_VAULT_CACHE", str(tmp_path / "cache"))

    [result] = bus.call("tasks.semantic_search", "kitten", mode="keyword")["results"]

    assert result["content_id"] == documents["Cats"]
    assert result["score"] > 0
    assert not (tmp_path / "cache").exists()


def test_words_alone_are_found_while_the_model_s_server_is_down(bus, documents, monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_VAULT_EMBEDDINGS", "ollama")
    monkeypatch.setenv("MENOS_VAULT_OLLAMA_URL", "http://127.0.0.1:9")

    [result] = bus.call("tasks.semantic_search", "kitten", mode="keyword")["results"]

    assert result["content_id"] == documents["Cats"]


def test_explained_results_say_what_their_place_comes_from(bus, documents):
    found = bus.call("tasks.semantic_search", "yeast in flour", explain=True)["results"]

    best = found[0]["explain"]
    assert best["mode"] == "hybrid"
    assert 2 * best["combined"] - best["neighbours"] == pytest.approx(1)
    assert best["similarity"] == found[0]["score"]
    assert best["keywords"] > 0
    combined = [result["explain"]["combined"] for result in found]
    assert combined == sorted(combined, reverse=True)


def test_grouped_by_content_a_result_has_its_other_passages(bus, model):
    chunks = [Chunk(index=n, text=f"Bees and honey, part {n}.", start=60.0 * n) for n in range(6)]
    url = "https://youtu.be/dQw4w9WgXcQ"
    store(model, "Bees", chunks, url=url)
    store(model, "Cats", [Chunk(index=0, text=TEXTS["Cats"])])

    found = bus.call("tasks.semantic_search", "honey bees", limit=2, group_by="content")["results"]

    assert [result["title"] for result in found] == ["Bees", "Cats"]
    assert len(found[0]["passages"]) == 3
    for passage in found[0]["passages"]:
        assert passage["url"] == f"{url}?t={int(passage['start'])}s"
    assert found[1]["passages"] == []


def test_pages_follow_on_each_other(bus, documents):
    whole = bus.call("tasks.semantic_search", "the moon", limit=4)["results"]
    pages = [
        bus.call("tasks.semantic_search", "the moon", limit=2, offset=offset)["results"]
        for offset in (0, 2, 4)
    ]

    assert [result for page in pages for result in page] == whole
    assert len(whole) == 4


@pytest.mark.parametrize(
    ("filters", "titles"),
    [
        ({"content_type": "note"}, ["Note"]),
        ({"content_type": ["note", "text"]}, ["Note", "Text"]),
        ({"tags": ["garden", "spring"]}, ["Note"]),
        ({"author": "Ada"}, ["Text"]),
        ({"language": "de"}, ["Note"]),
        ({"published_from": "2024-01-01"}, ["Text"]),
        ({"published_before": "2024-01-01T00:00:00Z"}, []),
        ({"author": "nobody"}, []),
    ],
)
def test_filters_filter(bus, model, filters, titles):
    chunk = [Chunk(index=0, text="Tomatoes want sun.")]
    store(model, "Note", chunk, content_type="note", tags=["garden", "spring"], language="de-AT")
    published = {"published_at": "2024-03-01T00:00:00Z"}
    store(model, "Text", chunk, author="Ada", tags=["garden"], metadata=published)

    found = bus.call("tasks.semantic_search", "tomatoes", **filters)["results"]

    assert sorted(result["title"] for result in found) == titles


@pytest.mark.parametrize("before", ["2024-02-29", "2024-03-01", "2024-03-01T01:00:00+01:00"])
def test_dates_between_which_nothing_can_be_are_refused_at_the_door(bus, before):
    dates = {"published_before": before, "published_from": "2024-03-01"}
    with pytest.raises(InvalidCall, match="must be later than published_from") as refused:
        bus.call("tasks.semantic_search", "tomatoes", **dates)

    assert [problem.field for problem in refused.value.problems] == ["published_before"]


def test_one_content_can_be_searched_alone(bus, documents):
    identity = documents["Cats"]

    found = bus.call("tasks.semantic_search", "the moon", content_id=identity)["results"]

    assert [result["content_id"] for result in found] == [identity]


def test_similar_contents_come_without_the_content_itself(bus, model, documents):
    identity = store(model, "Dogs", [Chunk(index=0, text="Puppies sleep long and hunt at dawn.")])

    found = bus.call("tasks.similar_content", identity, limit=2)

    assert found["content_id"] == identity
    assert found["results"][0]["title"] == "Cats"
    assert len(found["results"]) == 2


def test_similar_to_an_unknown_content_is_a_permanent_failure(bus):
    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.similar_content", "0" * 32)

    assert (failed.value.code, failed.value.tries) == ("content_not_found", 1)
