"""The second at which the words of a query are spoken."""

from __future__ import annotations

import json

import pytest

import menos_search.plugin
from menos_bus.testing import TestBus
from menos_vault import Chunk, ObjectsUnavailable, close_vault, open_vault
from menos_vault.objects.files import FileObjects

LINES = [
    (0.0, "Welcome to the show, it is about the sea."),
    (12.5, "First some news from the harbour."),
    (40.0, "The gravity of the moon makes the tides."),
    (55.0, "That was all about the moon."),
]
TEXT = "\n".join(line for _, line in LINES)
URL = "https://www.youtube.com/watch?v=GJLlxj_dtq8"


@pytest.fixture
def bus(tmp_path, monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    yield TestBus(menos_search.plugin)
    close_vault()


@pytest.fixture
def video(bus, model):
    """Store a transcript as one passage, with these objects; gives what a search says of it."""

    def store(text=TEXT, segments=None, start=0.0):
        vault = open_vault()
        offsets, offset = [], 0
        for second, line in LINES:
            offsets.append([offset, second, 5.0])
            offset += len(line) + 1
        objects = {"text": "v/text", "segments": "v/segments"}
        vault.objects.put("v/text", text.encode())
        vault.objects.put(
            "v/segments", json.dumps(offsets).encode() if segments is None else segments
        )
        content = vault.records.put_content(
            "yt:v", content_type="youtube", title="Sea", url=URL, objects=objects
        )
        vectors = model.embed_documents([TEXT])
        chunk = Chunk(index=0, text=TEXT, start=start)
        vault.records.replace_chunks(content.id, [chunk], vectors, model=model.model)

    def search(query):
        (best,) = bus.call("tasks.semantic_search", query)["results"]
        return best

    store()
    search.store = store
    return search


@pytest.mark.parametrize(
    ("query", "second"),
    [("gravity makes tides", 40.0), ("harbour news", 12.5), ("moon gravity", 40.0)],
)
def test_the_link_leads_to_the_segment_that_has_most_of_the_words(video, query, second):
    found = video(query)

    assert (found["start"], found["second"]) == (0.0, second)
    assert found["url"] == f"{URL}&t={int(second)}s"


def test_of_segments_with_as_many_words_the_first_one_counts(video):
    assert video("moon")["second"] == 40.0


def test_without_a_word_of_the_query_it_is_where_the_passage_begins(video):
    found = video("ebb")

    assert found["second"] == found["start"] == 0.0


def test_times_that_cannot_be_read_leave_the_start_of_the_passage(video):
    for segments in (b"no json", b"[[1]]", b"{}", b"[]"):
        video.store(segments=segments)

        assert video("gravity makes tides")["second"] == 0.0


def test_times_that_could_not_be_read_once_are_read_by_the_next_search(video, monkeypatch):
    def fails(self, key):
        raise ObjectsUnavailable("the server is down")

    with monkeypatch.context() as outage:
        outage.setattr(FileObjects, "get", fails)
        assert video("gravity makes tides")["second"] == 0.0

    assert video("gravity makes tides")["second"] == 40.0


def test_a_text_that_does_not_hold_the_passage_any_more_leaves_its_start(video):
    video.store(text="Something else.")

    assert video("gravity makes tides")["second"] == 0.0
