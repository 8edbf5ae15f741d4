"""The gate itself: what goes wrong is counted."""

from __future__ import annotations


def test_what_is_lost_done_twice_or_never_ends_is_counted(fleet):
    fleet.start_worker()
    for _ in range(3):
        fleet.submit()
    assert fleet.settle().good
    first, second, _ = fleet.accepted

    (fleet.folder / "effects" / first).unlink()
    with (fleet.folder / "applied").open("a") as applied:
        applied.write(second + "\n")
    fleet.accepted["never-sent"] = "SUCCESS"
    fleet.submit("fault.refuse", state="SUCCESS")
    fleet.submit(seconds=30)
    counters = fleet.settle(3)

    assert (counters.attempted, counters.accepted, counters.done) == (5, 6, 3)
    assert counters.lost == 3, "no effect, unknown, another end than wanted"
    assert (counters.duplicate_effects, counters.non_terminal) == (1, 1)
    assert not counters.good
