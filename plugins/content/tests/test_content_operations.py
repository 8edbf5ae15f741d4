"""Operations that other plugins add."""

from collections import Counter
from types import ModuleType

import pytest

import menos_content.plugin
from menos_bus import Deferred, InvalidCall, Permanent, Retryable, TaskFailed, hookimpl
from menos_bus.testing import TestBus
from menos_content.transfer import TextLine, import_lines
from menos_vault import close_vault, content_id, open_vault

TEXT = "A keel keeps a sailing boat upright when the wind presses the sails."


class CountWords:
    """Writes the number of words into the metadata."""

    name = "count_words"

    def run(self, vault, document):
        words = len(document.text.split())
        if document.content.metadata.get("words") == words:
            return False
        vault.records.update_content(document.content.id, metadata={"words": words})
        return True


class Refuse:
    name = "refuse"

    def run(self, vault, document):
        raise Permanent("it is too long to be read aloud", code="too_long")


class Break:
    name = "break"

    def run(self, vault, document):
        raise ZeroDivisionError("nobody thought of that")


class Meddle:
    """Has the text of the content that it sees first changed."""

    name = "meddle"

    def __init__(self, bus):
        self._bus = bus
        self.runs = []

    def run(self, vault, document):
        self.runs.append(document.text)
        if len(self.runs) == 1:
            key = document.content.resource_key
            self._bus.call("tasks.store_content", "Other words", "Ships", resource_key=key)


def plugin(*operations):
    module = ModuleType("menos_words")

    @hookimpl
    def register_extensions(register):
        for operation in operations:
            register("content.operation", operation)

    module.register_extensions = register_extensions
    return module


@pytest.fixture
def bus(tmp_path, monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    yield TestBus(menos_content.plugin, plugin(CountWords(), Refuse(), Break()))
    close_vault()


@pytest.fixture
def identity(bus):
    return bus.call("tasks.store_content", TEXT, "Ships")["content_id"]


def test_an_operation_of_another_plugin_is_run_by_its_name(bus, identity):
    first = bus.call("tasks.process_content", identity, ["count_words"])
    again = bus.call("tasks.process_content", identity, ["count_words"])

    assert (first, again) == ({"count_words": "completed"}, {"count_words": "skipped"})
    assert open_vault().records.get_content(identity).metadata == {"words": 13}


def test_its_failure_is_named_beside_what_succeeded(bus, identity):
    result = bus.call("tasks.process_content", identity, ["refuse", "count_words"])

    assert result == {
        "refuse": "failed",
        "count_words": "completed",
        "errors": {"refuse": {"code": "too_long", "message": "it is too long to be read aloud"}},
    }


def test_what_nobody_thought_of_keeps_no_other_operation_back(bus, identity):
    with pytest.raises(TaskFailed, match="nobody thought of that") as failed:
        bus.call("tasks.process_content", identity, ["break", "count_words"])

    assert failed.value.code == "internal_error"
    assert failed.value.tries > 1
    content = open_vault().records.get_content(identity)
    assert content.metadata == {"words": 13}
    assert (content.status, content.error) == (
        "failed",
        "break: nobody thought of that",
    )


def test_its_failure_leaves_a_content_processed_whose_passages_are_found(bus, identity, model):
    bus.call("tasks.process_content", identity, ["embed"])

    with pytest.raises(TaskFailed):
        bus.call("tasks.process_content", identity, ["refuse"])

    records = open_vault().records
    content = records.get_content(identity)
    refused = "refuse: it is too long to be read aloud"
    assert (content.status, content.error) == ("processed", refused)

    bus.call(
        "tasks.store_content",
        TEXT + " A mast carries them.",
        "Ships",
        resource_key=content.resource_key,
    )
    with pytest.raises(TaskFailed):
        bus.call("tasks.process_content", identity, ["refuse"])

    assert records.get_content(identity).status == "failed"  # those are of the old text


def test_its_failure_alone_is_the_tasks_failure(bus, identity):
    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.process_content", identity, ["refuse"])

    assert failed.value.code == "too_long"


def test_an_unknown_operation_is_refused_with_all_that_there_are(bus):
    with pytest.raises(InvalidCall) as refused:
        bus.call("tasks.process_content", "0" * 32, ["translate"])

    said = str(refused.value)
    assert all(word in said for word in ("operations", "'embed'", "'summarize'", "'count_words'"))


def test_of_one_of_many_whose_text_is_changed_meanwhile_the_newer_text_is_processed(bus):
    meddle = Meddle(bus)
    meddled = TestBus(menos_content.plugin, plugin(meddle))
    lines = [
        {"resource_key": f"ship:{number}", "title": "Ships", "text": f"{TEXT} {number}"}
        for number in range(20)
    ]

    imported = meddled.call("tasks.import_content", lines, process=["meddle"])

    assert imported["failed"] == []
    assert len(meddle.runs) == 21
    assert meddle.runs.count("Other words") == 1
    assert bus.call("tasks.vault_stats")["statuses"] == {"stored": 20}


def test_a_call_that_stores_a_text_leaves_a_newer_one_in_its_place(bus, model):
    meddled = TestBus(menos_content.plugin, plugin(Meddle(bus)))

    stored = meddled.call(
        "tasks.store_content", TEXT, "Ships", resource_key="ship", process=["embed", "meddle"]
    )

    assert stored["processed"] == {"embed": "completed", "meddle": "completed"}
    vault = open_vault()
    content = vault.records.get_content(stored["content_id"])
    assert vault.objects.get(content.objects["text"]) == b"Other words"
    assert [chunk.text for chunk in vault.records.chunks(content.id)] == ["Other words"]
    assert content.status == "processed"


def test_a_text_that_is_changed_all_the_time_is_left_to_a_later_try(bus):
    class Restless:
        name = "restless"
        count = 0

        def run(self, vault, document):
            self.count += 1
            bus.call("tasks.store_content", f"Text {self.count}", "Ships", resource_key="ship")

    restless = TestBus(menos_content.plugin, plugin(Restless()))

    with pytest.raises(TaskFailed) as failed:
        restless.call(
            "tasks.store_content", TEXT, "Ships", resource_key="ship", process=["restless"]
        )

    assert failed.value.code == "content_changed"
    assert bus.call("tasks.vault_stats")["statuses"] == {"stored": 1}


def test_one_of_many_that_is_deleted_meanwhile_is_no_failure(bus):
    class Delete:
        name = "delete"

        def run(self, vault, document):
            if document.text == "Old":
                vault.delete(document.content.id)

    deleting = TestBus(menos_content.plugin, plugin(Delete()))
    lines = [{"resource_key": text, "title": text, "text": text} for text in ("Old", "New")]

    imported = deleting.call("tasks.import_content", lines, process=["delete"])

    assert imported["failed"] == []
    assert [row["title"] for row in bus.call("tasks.list_content")["contents"]] == ["New"]


def test_once_a_content_is_deleted_no_further_operation_is_run(bus, identity):
    class Delete:
        name = "delete"

        def run(self, vault, document):
            vault.delete(document.content.id)
            vault.records.update_content(document.content.id, summary="Gone.")

    class Late:
        name = "late"
        runs = 0

        def run(self, vault, document):
            self.runs += 1

    late = Late()
    deleting = TestBus(menos_content.plugin, plugin(Delete(), late))

    with pytest.raises(TaskFailed, match="was deleted while it was processed"):
        deleting.call("tasks.process_content", identity, ["delete", "late"])

    assert late.runs == 0


def test_that_another_content_is_missing_is_a_failure_of_the_operation(bus):
    class Quote:
        name = "quote"

        def run(self, vault, document):
            vault.records.get_content("0" * 32)

    quoting = TestBus(menos_content.plugin, plugin(Quote()))

    imported = quoting.call("tasks.import_content", [{"title": "T", "text": TEXT}], ["quote"])

    assert [failed["code"] for failed in imported["failed"]] == ["content_not_found"]


class Shout:
    """Costs less for several, and cannot do with silence."""

    name = "shout"

    def __init__(self, error):
        self._error = error
        self.groups = []

    def run(self, vault, document):
        [done] = self.run_group(vault, [document])
        return done

    def run_group(self, vault, documents):
        self.groups.append(len(documents))
        if self._error and any(document.text == "..." for document in documents):
            error, self._error = self._error, self._error if len(documents) > 1 else None
            raise error
        return [document.text.isupper() for document in documents]


def many(count):
    texts = ["..." if number == 17 else f"WORDS {number}" for number in range(count)]
    return [{"resource_key": text, "title": text, "text": text} for text in texts]


def test_what_costs_less_for_several_gets_them_together(bus):
    shout = Shout(None)
    shouting = TestBus(menos_content.plugin, plugin(shout))

    assert shouting.call("tasks.import_content", many(96), process=["shout"])["failed"] == []

    assert sum(shout.groups) == 96
    assert set(shout.groups) == {24}


def test_of_several_together_only_the_one_to_blame_fails(bus):
    shout = Shout(Permanent("it is silent", code="silent"))
    shouting = TestBus(menos_content.plugin, plugin(shout))

    imported = shouting.call("tasks.import_content", many(96), process=["shout"])

    [failed] = imported["failed"]
    assert (failed["content_id"], failed["code"]) == (imported["content_ids"][17], "silent")
    assert shout.groups.count(1) == 24
    assert bus.call("tasks.vault_stats")["statuses"] == {"stored": 95, "failed": 1}


def test_of_several_together_none_is_given_up_if_another_try_may_help(bus):
    shout = Shout(Retryable("not now", code="busy", after=0.01))
    shouting = TestBus(menos_content.plugin, plugin(shout))

    with pytest.raises(TaskFailed) as failed:
        shouting.call("tasks.import_content", many(96), process=["shout"])

    assert failed.value.code == "busy"
    assert failed.value.tries > 1
    assert 1 not in shout.groups


class Judge:
    """Refuses short texts for good, and every other one once."""

    name = "judge"

    def __init__(self):
        self.seen = Counter()

    def run(self, vault, document):
        self.seen[document.text] += 1
        if len(document.text) < 10:
            raise Permanent("it is too short", code="too_short")
        if self.seen[document.text] == 1:
            raise Retryable("not yet", code="busy", after=0)


@pytest.mark.parametrize("together", [1, 10_000])
def test_what_failed_for_good_of_an_import_is_not_tried_again(tmp_path, monkeypatch, together):
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    monkeypatch.setattr("menos_content.process._TOGETHER", together)
    monkeypatch.setattr("menos_content.side_by_side._AT_A_TIME", 1)
    judge = Judge()
    bus = TestBus(menos_content.plugin, plugin(judge))
    vault = open_vault()
    vault.records.put_content(
        "yt:1", content_type="youtube", title="A video", objects={"text": "youtube/1/text.txt"}
    )
    lines = [
        {"resource_key": key, "title": key, "text": text}
        for key, text in (("yt:1", "Mine."), ("a", "Short."), ("b", TEXT), ("c", "Shorter."))
    ]

    imported = bus.call("tasks.import_content", lines, process=["judge"])

    assert judge.seen == {"Short.": 1, TEXT: 2, "Shorter.": 1}
    assert {one["content_id"]: one["code"] for one in imported["failed"]} == {
        content_id("yt:1"): "resource_key_taken",
        content_id("a"): "too_short",
        content_id("c"): "too_short",
    }
    assert vault.objects.keys("content/imports") == []
    close_vault()


def test_an_import_whose_lines_take_their_time_to_fail_gets_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    monkeypatch.setattr("menos_content.side_by_side._SLICE", 0)
    monkeypatch.setattr("menos_content.side_by_side._GROUP", 1)
    monkeypatch.setattr("menos_content.side_by_side._AT_A_TIME", 1)
    for module in ("store", "transfer"):
        monkeypatch.setattr(f"menos_content.{module}.task_id", lambda: "call")
    judge = Judge()
    lines = [TextLine(title=f"T{n}", text=f"Text {n}") for n in range(4)]

    for _ in range(3):
        with pytest.raises(Deferred):
            import_lines(open_vault(), lines, [judge])
    imported = import_lines(open_vault(), lines, [judge])

    assert [one["code"] for one in imported["failed"]] == ["too_short"] * 4
    assert judge.seen == {f"Text {n}": 1 for n in range(4)}
    close_vault()
