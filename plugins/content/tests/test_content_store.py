"""tasks.store_content"""

import pytest

import menos_content.plugin
from menos_bus import InvalidCall, TaskFailed
from menos_bus.testing import TestBus
from menos_vault import close_vault, content_id, open_vault


@pytest.fixture
def bus(tmp_path, monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    yield TestBus(menos_content.plugin)
    close_vault()


def store(bus, text="Some text.", title="A title", **fields):
    return bus.call("tasks.store_content", text, title, **fields)


def test_a_stored_text_is_archived_and_recorded(bus):
    result = store(bus, "Grüße, 世界 🎉\n", "Note", author="Ada", tags=["b", "a", "b"])

    content = open_vault().records.get_content(result["content_id"])
    assert result == {"status": "success", "content_id": content.id, "title": "Note"}
    assert content.objects == {"text": f"content/{content.id}/text.txt"}
    assert open_vault().objects.get(content.objects["text"]).decode() == "Grüße, 世界 🎉\n"
    assert (content.status, content.author, content.tags) == ("stored", "Ada", ["b", "a"])


def test_a_byte_order_mark_is_no_part_of_a_text(bus):
    marked = store(bus, "\ufeff# Tea\r\n\r\nHot.")

    assert marked == store(bus, "# Tea\r\n\r\nHot.")
    key = f"content/{marked['content_id']}/text.txt"
    assert open_vault().objects.get(key) == b"# Tea\r\n\r\nHot."


def test_the_same_text_and_title_are_one_content(bus):
    first, second = store(bus), store(bus)

    assert first == second
    assert open_vault().records.counts().contents == 1


def test_another_title_is_another_content(bus):
    assert store(bus, title="One")["content_id"] != store(bus, title="Two")["content_id"]


def test_a_resource_key_decides_what_is_one_content(bus):
    first = store(bus, "Version 1.", resource_key="doc:x")
    second = store(bus, "Version 2.", resource_key="doc:x")

    assert first["content_id"] == second["content_id"] == content_id("doc:x")
    key = f"content/{content_id('doc:x')}/text.txt"
    assert open_vault().objects.get(key) == b"Version 2."


def test_a_changed_text_takes_summary_and_status_back(bus):
    identity = store(bus, "Version 1.", resource_key="doc:x")["content_id"]
    open_vault().records.update_content(identity, summary="Old.", status="processed")

    store(bus, "Version 2.", resource_key="doc:x")

    content = open_vault().records.get_content(identity)
    assert (content.summary, content.status) == (None, "stored")


def test_an_unchanged_text_keeps_summary_status_and_what_is_left_out(bus):
    identity = store(bus, resource_key="doc:x", author="Ada", tags=["a"])["content_id"]
    open_vault().records.update_content(identity, summary="Short.", status="processed")

    store(bus, resource_key="doc:x")

    content = open_vault().records.get_content(identity)
    assert (content.summary, content.status) == ("Short.", "processed")
    assert (content.author, content.tags) == ("Ada", ["a"])


def test_a_key_of_another_plugin_is_not_taken_over(bus):
    open_vault().records.put_content(
        "yt:x", content_type="youtube", title="Video", objects={"text": "youtube/x/text.txt"}
    )

    with pytest.raises(TaskFailed) as failed:
        store(bus, resource_key="yt:x")

    assert (failed.value.code, failed.value.tries) == ("resource_key_taken", 1)
    assert open_vault().records.get_content(content_id("yt:x")).title == "Video"
    assert not open_vault().objects.exists(f"content/{content_id('yt:x')}/text.txt")


@pytest.mark.parametrize(
    "text",
    [
        "'; DELETE content; --",
        'a "quoted" `text` with $id and {{ braces }} and \\ backslashes',
        "⟨x⟩ type::record('content', 'x'); REMOVE TABLE content;",
        "zero\0byte",
    ],
)
def test_text_from_outside_is_data(bus, text):
    identity = store(bus, text, text, author=text, metadata={text: text})["content_id"]

    content = open_vault().records.get_content(identity)
    shown = text.replace("\0", "␀")  # records hold no NUL; the object does
    assert (content.title, content.author, content.metadata) == (shown, shown, {shown: shown})
    assert open_vault().objects.get(content.objects["text"]).decode() == text
    assert open_vault().records.counts().contents == 1


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"text": "", "title": "t"}, "text"),
        ({"text": " \n\t\u00a0", "title": "t"}, "text"),
        ({"text": "\ufeff\u200b", "title": "t"}, "text"),
        ({"text": "x" * 5_000_001, "title": "t"}, "text"),
        ({"text": "lone \ud800 surrogate", "title": "t"}, "text"),
        ({"text": 7, "title": "t"}, "text"),
        ({"title": "t"}, "text"),
        ({"text": "x"}, "title"),
        ({"text": "x", "title": "  "}, "title"),
        ({"text": "x", "title": "\u200b\u3164\ufe0f"}, "title"),
        ({"text": "x", "title": "t" * 501}, "title"),
        ({"text": "x", "title": "t", "path": "notes.txt"}, "path"),
        ({"text": "x", "title": "t", "resource_key": ""}, "resource_key"),
        ({"text": "x", "title": "t", "content_type": "Not A Type"}, "content_type"),
        ({"text": "x", "title": "t", "url": "javascript:alert(1)"}, "url"),
        ({"text": "x", "title": "t", "language": "not a tag"}, "language"),
        ({"text": "x", "title": "t", "tags": "a"}, "tags"),
        ({"text": "x", "title": "t", "tags": ["a"] * 101}, "tags"),
        ({"text": "x", "title": "t", "metadata": {"n": float("nan")}}, "metadata"),
        ({"text": "x", "title": "t", "metadata": {"n": 2**63}}, "metadata"),
        ({"text": "x", "title": "t", "metadata": {"published_at": "May 2024"}}, "metadata"),
        ({"text": "x", "title": "t", "metadata": {"published_at": 2024}}, "metadata"),
        ({"text": "x", "title": "t", "metadata": {"n": ["x" * 99_000] * 2}}, "metadata"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_stored(bus, tmp_path, arguments, field):
    with pytest.raises(InvalidCall) as refused:
        bus.call("tasks.store_content", **arguments)

    assert refused.value.problems[0].field.split(".")[0] == field
    assert not (tmp_path / "vault").exists()


def test_the_longest_text_is_stored(bus):
    identity = store(bus, "x" * 5_000_000)["content_id"]

    key = open_vault().records.get_content(identity).objects["text"]
    assert len(open_vault().objects.get(key)) == 5_000_000
