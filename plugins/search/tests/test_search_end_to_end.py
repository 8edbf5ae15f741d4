"""Store, process, search: the plugins ``content`` and ``search`` over one vault."""

import pytest

import menos_search.plugin
from menos_bus.testing import TestBus
from menos_vault import close_vault

content = pytest.importorskip("menos_content.plugin", reason="menos-content is not installed")

DOCUMENTS = {
    "Garden": "# Garden\n\nTomatoes want sun.\n\n## Compost\n\nKitchen scraps rot into rich soil.",
    "Ships": "# Ships\n\nA keel keeps a sailing boat upright when strong wind presses the sails.",
    "Law": "# Law\n\nA contract needs an offer, and that the other side accepts it.",
}


@pytest.fixture
def bus(tmp_path, monkeypatch, model):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    yield TestBus(content, menos_search.plugin)
    close_vault()


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("turning food waste into fertilizer", "Garden"),
        ("why does a yacht not capsize", "Ships"),
        ("when is an agreement binding", "Law"),
    ],
)
def test_a_question_in_other_words_finds_the_right_document(bus, query, title):
    for name, text in DOCUMENTS.items():
        stored = bus.call("tasks.store_content", text, name, content_type="markdown")
        bus.call("tasks.process_content", stored["content_id"])

    results = bus.call("tasks.semantic_search", query, limit=3)["results"]

    assert results[0]["title"] == title


def test_a_stored_text_is_found_only_after_it_is_processed(bus):
    stored = bus.call("tasks.store_content", DOCUMENTS["Law"], "Law")
    assert bus.call("tasks.semantic_search", "contracts")["results"] == []

    bus.call("tasks.process_content", stored["content_id"])

    [result] = bus.call("tasks.semantic_search", "contracts")["results"]
    assert result["content_id"] == stored["content_id"]
