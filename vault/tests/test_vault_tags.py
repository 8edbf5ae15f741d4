"""The tags that people gave, and those of a model: in this process and at servers."""

import threading
from typing import Any

from menos_vault import Content
from menos_vault.records import Records


def put(records: Records, **fields: Any) -> Content:
    return records.put_content("k", content_type="text", title="T", **fields)


def digest(*tags: str) -> dict[str, Any]:
    return {"digest": {"tags": [*tags], "topics": ["t"]}}


def test_a_models_tags_are_added_and_whoever_writes_keeps_them(records: Records) -> None:
    identity = put(records, tags=["Tea", "mine"]).id

    said = records.update_content(identity, metadata=digest("tea", "Water", "x" * 101))
    assert said.tags == ["Tea", "mine", "Water"]
    assert said.metadata["digest"] == {"tags": ["tea", "Water", "x" * 101], "topics": ["t"]} | {
        "added": ["Water"]
    }
    assert put(records).tags == ["Tea", "mine", "Water"]

    given = put(records, tags=["water"], metadata={"source": "book"})
    assert given.tags == ["water", "tea"]
    assert given.metadata == {
        "source": "book",
        "digest": {**digest("tea", "Water", "x" * 101)["digest"], "added": ["tea"]},
    }
    assert records.update_content(identity, tags=None).tags == ["tea", "Water"]


def test_a_models_tags_give_way_to_its_next_ones_or_to_none(records: Records) -> None:
    identity = put(records, tags=["mine"], metadata=digest("one")).id

    assert records.update_content(identity, metadata=digest("two")).tags == ["mine", "two"]
    again = records.get_content(identity)
    assert put(records, tags=again.tags, metadata=again.metadata).tags == ["mine", "two"]
    assert records.update_content(identity, metadata={"digest": None}).tags == ["mine"]
    assert records.update_content(identity, metadata={"digest": "short"}).tags == ["mine"]


def test_the_tags_that_people_gave_are_never_too_many_for_a_model(records: Records) -> None:
    full = [str(number) for number in range(150)]
    identity = put(records, tags=full).id

    assert records.update_content(identity, metadata=digest("one")).tags == full


def test_tags_that_are_written_at_once_are_all_there(records: Records) -> None:
    identity = put(records).id
    people = threading.Thread(target=put, args=(records,), kwargs={"tags": ["mine"]})
    people.start()
    records.update_content(identity, metadata=digest("said"))
    people.join()

    assert records.get_content(identity).tags == ["mine", "said"]
