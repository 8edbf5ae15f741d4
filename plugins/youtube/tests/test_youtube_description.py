"""URLs and chapters that a description has."""

from __future__ import annotations

import time

import pytest

from menos_youtube.description import find_chapters, find_urls


def test_urls_are_found_in_order_once_and_without_what_follows_them() -> None:
    text = (
        "Slides: https://example.org/a?b=c#d, (http://example.com/x).\n"
        "Again https://example.org/a?b=c#d! «HTTPS://Example.net/y»…\n"
        "See https://en.wikipedia.org/wiki/Bus_(computing)) and 見て：https://例え.jp/次。です"
    )

    assert find_urls(text) == [
        "https://example.org/a?b=c#d",
        "http://example.com/x",
        "HTTPS://Example.net/y",
        "https://en.wikipedia.org/wiki/Bus_(computing)",
        "https://例え.jp/次",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "ftp://example.org/x", "javascript:alert(1)", "https://", "https://[bad", "www.a.b"],
)
def test_other_things_are_no_urls(text: str) -> None:
    assert find_urls(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "0:00 Start\n1:00 Middle\n1:02:03 End",
        "Hello!\n\n00:00 Start\n01:00 Middle\n01:02:03 End\n\nBye at 5:30",
        "- 0:00 - Start\n- 1:00 - Middle\n- 1:02:03 - End",
        "[0:00] Start\n[1:00] Middle\n[1:02:03] End",
        "• (0:00): Start\n• (1:00): Middle\n• (1:02:03): End",
        "1. 0:00 Start\n2. 1:00 Middle\n3. 1:02:03 End",
        "▶ 0:00 – 1:00 Start\n▶ 1:00 – 1:02:03 Middle\n▶ 1:02:03 – 1:05:00 End",
        "Start 0:00\nMiddle 1:00\nEnd 1:02:03",
        "Start – 0:00\nMiddle (1:00)\nEnd [1:02:03].",
        "At 0:00 we begin\n0:00 Start\n1:00   Middle\n1:02:03 End\nmore: 0:30",
        "0:00 too short a list\n0:20 of two\n\n0:00 Start\n1:00 Middle\n1:02:03 End",
    ],
)
def test_chapters_are_found_however_they_are_written(text: str) -> None:
    assert find_chapters(text) == [(0, "Start"), (60, "Middle"), (3723, "End")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0:00 Start\n1:00 End",
        "0:05 Start\n1:00 Middle\n2:00 End",
        "0:00 Start\n2:00 Middle\n1:00 End",
        "0:00 Start\n0:09 Middle\n2:00 End",
        "0:00 Start\n0:75 Middle\n2:00 End",
        "0:00\n1:00\n2:00",
        "it begins at 0:00 or so\nand at 1:00 it\ngoes on till 2:00 at least",
    ],
    ids=["none", "two", "late", "back", "too short", "no time", "no titles", "in sentences"],
)
def test_other_lists_are_no_chapters(text: str) -> None:
    assert find_chapters(text) == []


def test_the_last_chapter_must_be_long_enough_too() -> None:
    text = "0:00 Start\n1:00 Middle\n2:00 End"

    assert find_chapters(text, duration=129) == []
    assert len(find_chapters(text, duration=130)) == 3


def test_hostile_descriptions_take_no_time() -> None:
    started = time.perf_counter()

    for junk in ("-" * 50_000, "1:" * 25_000, "0:00" * 12_500, "((((\n" * 10_000, "1 " * 25_000):
        find_chapters(junk)
        find_urls(f"http://{junk} http://x{')' * 50_000}")

    assert time.perf_counter() - started < 2
