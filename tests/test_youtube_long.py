"""A video of four hours, 40,000 words: ingested, embedded, found at the right second."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from fake_youtube import FakeChannel, FakeYouTube
from running import RunningBus

WORDS, SECONDS = 40_000, 4 * 3600
SEGMENT_WORDS = 8
GROWTH = 300 * 1024**2
NEEDLES = {
    1_000: "The gravity of the moon pulls the sea, and so the tides rise and fall.",
    7_201: "Honey bees dance to tell their sisters where the flowers are.",
    14_050: "Sourdough bread rises because wild yeast ferments the flour.",
}
"""Second → what is said then; each once, among talk about something else."""
QUESTIONS = {
    1_000: "What makes the tides of the sea?",
    7_201: "How do bees tell each other about flowers?",
    14_050: "Why does sourdough bread rise?",
}

TALK = [
    word
    for line in (
        "the train to the north leaves from platform nine at a quarter past ten and stops in",
        "every village along the old line until it comes to the harbour where passengers change",
        "for the express which has a restaurant a sleeping car and seats that must be reserved",
    )
    for word in line.split()
]


def captions() -> str:
    """A caption file as YouTube sends it, of a talk about trains."""
    chance = random.Random(4)
    count = WORDS // SEGMENT_WORDS
    step = SECONDS / count
    needles = {int(second / step): text for second, text in NEEDLES.items()}
    parts = []
    for number in range(count):
        said = needles.get(number) or " ".join(chance.choices(TALK, k=SEGMENT_WORDS))
        parts.append(f'<text start="{number * step:.2f}" dur="{step + 1:.2f}">{said}</text>')
    return f"<transcript>{''.join(parts)}</transcript>"


def peak(bus: RunningBus) -> int:
    """The most bytes of memory that the bus's process has had."""
    status = Path(f"/proc/{bus.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.usefixtures("model")
def test_four_hours_are_found_at_the_right_second_within_300_mb(
    youtube: FakeYouTube, start_at: Callable[..., RunningBus]
) -> None:
    channel = FakeChannel(youtube, 2)
    bus = start_at()
    # What the model and the database need for any text at all.
    bus.result(
        "tasks.process_content", bus.result("tasks.ingest_youtube", channel.ids[1])["content_id"]
    )
    before = peak(bus)
    youtube.answer("/api/timedtext", captions())

    content_id = bus.result("tasks.ingest_youtube", channel.ids[0])["content_id"]
    embedded = bus.submit("tasks.process_content", content_id, operations=["embed"])
    assert bus.outcome(embedded, timeout=200)["state"] == "SUCCESS"

    grown = peak(bus) - before
    assert grown < GROWTH, f"{grown / 1024**2:.0f} MiB"
    # A passage of 200 tokens is a minute or less of this talk; the link leads to the sentence.
    for second, question in QUESTIONS.items():
        (best,) = bus.result("tasks.semantic_search", question, limit=1)["results"]
        assert NEEDLES[second] in best["text"].replace("\n", " ")
        assert second - 70 < best["start"] <= second
        # The segments of this talk are 2.9 seconds long.
        assert abs(best["second"] - second) < 3
        at = f"t={int(best['second'])}s"
        assert best["url"] == f"https://www.youtube.com/watch?v={channel.ids[0]}&{at}"
