"""Calls that run again: put back, tried again, or delivered twice."""

import pytest

import menos_content.plugin
from menos_bus.testing import TestBus
from menos_content.store import archive
from menos_vault import close_vault, content_id, open_vault


@pytest.fixture
def bus(tmp_path, monkeypatch):
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    yield TestBus(menos_content.plugin)
    close_vault()


def deliver(bus, call, task, *args, **kwargs):
    """Run a call under an id, as often as it is delivered."""
    outcome = ended(bus, call, task, *args, **kwargs)
    assert outcome.successful(), outcome.result
    return outcome.result


def ended(bus, call, task, *args, **kwargs):
    return bus.app.run_in_place(f"tasks.{task}", args, kwargs, task_id=call)


def shown(bus, key):
    found = bus.call("tasks.show_content", content_id(key), text=True)
    return found["title"], found["text"]


def test_a_call_does_not_store_its_text_over_that_of_a_later_call(bus):
    first = deliver(bus, "first", "store_content", "Old words", "Old", resource_key="ship")
    deliver(bus, "second", "store_content", "New words", "New", resource_key="ship", author="Ada")

    again = deliver(bus, "first", "store_content", "Old words", "Old", resource_key="ship")

    assert shown(bus, "ship") == ("New", "New words")
    assert again == {**first, "title": "New"}


def test_a_call_does_not_store_again_what_was_deleted_since(bus):
    first = ("first", "store_content", "Old words", "Ship")
    deliver(bus, *first, resource_key="ship")
    bus.call("tasks.delete_content", content_id("ship"))

    failed = ended(bus, *first, resource_key="ship").result

    assert failed.code == "content_not_found"
    assert "('Ship') was deleted after this call had stored it" in failed.message
    assert bus.call("tasks.vault_stats")["contents"] == 0
    assert open_vault().objects.keys("content") == []

    deliver(bus, "second", "store_content", "New words", "Ship", resource_key="ship")
    deliver(bus, *first, resource_key="ship")
    assert shown(bus, "ship") == ("Ship", "New words")


def test_an_import_that_goes_on_does_not_store_again_what_was_deleted_since(bus):
    lines = [
        {"resource_key": f"ship:{number}", "title": "Ship", "text": f"Words {number}"}
        for number in range(20)
    ]
    deliver(bus, "import", "import_content", lines)
    bus.call("tasks.delete_content", content_id("ship:7"))

    again = deliver(bus, "import", "import_content", lines)

    assert (len(again["content_ids"]), again["failed"]) == (20, [])
    assert bus.call("tasks.vault_stats")["contents"] == 19


def test_a_call_with_the_id_of_one_that_is_forgotten_stores_its_own_text(bus):
    for words in ("Old words", "New words"):
        line = {"resource_key": "pier", "title": "Pier", "text": words}
        deliver(bus, "weekly", "store_content", words, "Ship", resource_key="ship")
        deliver(bus, "import", "import_content", [line])

    assert shown(bus, "ship") == ("Ship", "New words")
    assert shown(bus, "pier") == ("Pier", "New words")


@pytest.mark.parametrize("exported", [False, True])
def test_an_import_stores_no_line_over_the_text_of_a_later_call(bus, exported):
    lines = [
        {"resource_key": f"ship:{number}", "title": "Old", "text": f"Old words {number}"}
        for number in range(20)
    ]
    if exported:
        bus.call("tasks.import_content", lines)
        lines = bus.call("tasks.export_content")["lines"]
        for line in lines:
            bus.call("tasks.delete_content", content_id(line["resource_key"]))
    deliver(bus, "import", "import_content", lines)
    bus.call("tasks.store_content", "New words", "New", resource_key="ship:7")

    again = deliver(bus, "import", "import_content", lines)

    assert (len(again["content_ids"]), again["failed"]) == (20, [])
    assert shown(bus, "ship:7") == ("New", "New words")
    assert shown(bus, "ship:8") == ("Old", "Old words 8")
    assert bus.call("tasks.vault_stats")["contents"] == 20


def test_a_content_that_is_deleted_while_its_text_is_stored_is_made_anew(bus):
    bus.call("tasks.store_content", "Old words", "Ship", resource_key="ship")
    vault = open_vault()
    seen = vault.records.get_contents([content_id("ship")])
    bus.call("tasks.delete_content", content_id("ship"))

    new = {"resource_key": "ship", "content_type": "text", "title": "Ship"}
    [stored] = vault.records.put_contents([archive(vault, "New words", new, seen)])

    assert shown(bus, "ship") == ("Ship", "New words")
    assert stored.status == "stored"


def test_a_call_stores_its_text_over_that_of_an_earlier_one(bus):
    deliver(bus, "first", "store_content", "Old words", "Old", resource_key="ship")
    deliver(bus, "second", "store_content", "New words", "New", resource_key="ship")

    deliver(bus, "third", "store_content", "Old words", "Old", resource_key="ship")

    assert shown(bus, "ship") == ("Old", "Old words")
