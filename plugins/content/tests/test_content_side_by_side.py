"""Many contents in one call: in groups, several groups at a time."""

import threading

import pytest

from menos_bus import Deferred
from menos_content import side_by_side as module
from menos_content.side_by_side import side_by_side


def test_what_is_yielded_of_each_item_comes_in_their_order():
    groups = []

    def work(group, room):
        groups.append(group)
        yield from (number * 2 for number in group)

    assert side_by_side(work, range(960), stage="doubling") == [2 * n for n in range(960)]
    assert {len(group) for group in groups} == {module._GROUP}
    assert side_by_side(work, [], stage="doubling") == []


def test_few_items_are_not_grouped_so_that_all_threads_have_some():
    together = threading.Barrier(module._AT_A_TIME, timeout=10)

    def work(group, room):
        together.wait()
        yield from group

    items = list(range(module._AT_A_TIME))
    assert side_by_side(work, items, stage="waiting") == items


def test_an_error_ends_it_after_what_is_under_way():
    ended = []
    failing = threading.Event()

    def work(group, room):
        for number in group:
            with room.taken(1):
                if number == 0:
                    failing.set()
                    raise ValueError("no")
                assert failing.wait(10)
                ended.append(number)
            yield number

    with pytest.raises(ValueError, match="no"):
        side_by_side(work, range(10_000), stage="failing")
    assert len(ended) < 5_000


def test_a_slice_ends_in_the_middle_of_a_group(monkeypatch):
    monkeypatch.setattr(module, "_SLICE", 0)
    monkeypatch.setattr(module, "_LOOK", 0.01)
    stopped = threading.Event()
    noted = []

    def work(group, room):
        try:
            for number in group:
                with room.taken(1):
                    yield number
                # All others wait for the room to be closed after the first one of theirs.
                with room.taken(module._CHARACTERS):
                    stopped.wait(0.1)
        finally:
            noted.append(group)

    with pytest.raises(Deferred, match=r"\d+ of 1010 contents are done") as put_back:
        side_by_side(work, range(1000), stage="slicing", done=10)

    assert put_back.value.code == "more_to_do"
    stage, done, total = put_back.value.progress
    assert (stage, total) == ("slicing", 1010)
    assert 10 < done < 1010
    assert len(noted) <= module._AT_A_TIME  # what was begun was also ended
