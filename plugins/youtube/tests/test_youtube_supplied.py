"""Transcripts that the caller supplies: plain text, SRT, WebVTT, json3, YouTube's XML."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from menos_bus import InvalidCall, TaskFailed
from menos_bus.testing import TestBus
from menos_vault import Vault
from menos_youtube.caption_text import parse_caption_text
from menos_youtube.segments import Segment, index_json

JSON3 = json.dumps(
    {
        "wireMagic": "pb3",
        "events": [
            {"tStartMs": 0, "dDurationMs": 60000, "id": 1, "wpWinPosId": 1},
            {"tStartMs": 1000, "dDurationMs": 4000, "segs": [{"utf8": "First"}, {"utf8": " line"}]},
            {"tStartMs": 2490, "dDurationMs": 500, "aAppend": 1, "segs": [{"utf8": "\n"}]},
            {"tStartMs": 2500, "dDurationMs": 1500, "segs": [{"utf8": "Second"}]},
        ],
    }
)
TASK = "tasks.ingest_youtube"
VIDEO = "GJLlxj_dtq8"
_SPACE = {"utf8": " "}
PLAIN = "First line.\n\nSecond paragraph."
SRT = """1
00:00:01,000 --> 00:00:02,500
<i>First</i> line
goes on

2
00:00:02,500 --> 01:00:04,000
{\\an8}Second: 2 < 3 &amp; 4 > 3
"""
VTT = """WEBVTT - a title

NOTE nobody reads this

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Roger>First</v> line

00:02.500 --> 00:00:04.000
Second
"""


def test_plain_text_is_stored_without_any_request_when_a_title_is_given(
    bus: TestBus, youtube: Any, vault: Vault
) -> None:
    result = bus.call(TASK, VIDEO, transcript=PLAIN, title=" My\ntitle ", language="en-GB")

    content = vault.records.get_content(result["content_id"])
    assert youtube.asked == []
    assert result["title"] == content.title == "My title"
    assert vault.objects.get(content.objects["text"]).decode() == PLAIN
    assert vault.objects.get(content.objects["transcript"]).decode() == PLAIN
    assert "segments" not in content.objects
    assert content.language == "en-GB"
    assert content.metadata["transcript_source"] == "caller"


def test_the_title_of_a_supplied_transcript_comes_from_oembed(
    bus: TestBus, youtube: Any, vault: Vault
) -> None:
    youtube.answer("/oembed", {"title": "By oEmbed", "author_name": "Somebody"})

    result = bus.call(TASK, VIDEO, transcript=PLAIN)

    content = vault.records.get_content(result["content_id"])
    assert youtube.paths == ["/oembed"]
    assert youtube.asked[0].query["url"] == f"https://www.youtube.com/watch?v={VIDEO}"
    assert (content.title, content.author) == ("By oEmbed", "Somebody")


@pytest.mark.parametrize(
    ("source", "text", "segments"),
    [
        (SRT, "First line goes on\nSecond: 2 < 3 & 4 > 3", [[0, 1, 1.5], [19, 2.5, 3601.5]]),
        (VTT, "First line\nSecond", [[0, 1, 1.5], [11, 2.5, 1.5]]),
        (JSON3, "First line\nSecond", [[0, 1, 1.5], [11, 2.5, 1.5]]),
    ],
    ids=["srt", "vtt", "json3"],
)
def test_times_become_segments(
    bus: TestBus, youtube: Any, vault: Vault, source: str, text: str, segments: list[list[float]]
) -> None:
    result = bus.call(TASK, VIDEO, transcript=source, title="T")

    content = vault.records.get_content(result["content_id"])
    assert vault.objects.get(content.objects["text"]).decode() == text
    assert json.loads(vault.objects.get(content.objects["segments"])) == segments


def test_the_same_transcript_again_changes_nothing_and_another_replaces_it(
    bus: TestBus, youtube: Any, vault: Vault
) -> None:
    first = bus.call(TASK, VIDEO, transcript=SRT, title="T")
    before = vault.records.get_content(first["content_id"])

    assert bus.call(TASK, VIDEO, transcript=SRT) == first
    assert vault.records.get_content(first["content_id"]) == before
    assert youtube.asked == []

    bus.call(TASK, VIDEO, transcript=PLAIN, title="U")
    after = vault.records.get_content(first["content_id"])
    assert after.title == "U"
    assert vault.objects.get(after.objects["text"]).decode() == PLAIN
    assert json.loads(vault.objects.get(after.objects["segments"])) == []


def test_a_title_alone_renames_without_a_request(bus: TestBus, talking: Any, vault: Vault) -> None:
    first = bus.call(TASK, VIDEO)
    talking.asked.clear()

    assert bus.call(TASK, VIDEO, title="Mine") == {**first, "title": "Mine"}
    assert talking.asked == []


@pytest.mark.parametrize(
    "source",
    ["WEBVTT\n\nNOTE nothing\n", "1\n00:01,0 --> 00:02,0\n", '{"events": [{"segs": []}]}'],
)
def test_a_transcript_without_text_is_refused(
    bus: TestBus, youtube: Any, vault: Vault, source: str
) -> None:
    with pytest.raises(TaskFailed) as caught:
        bus.call(TASK, VIDEO, transcript=source, title="T")

    assert (caught.value.code, caught.value.tries) == ("no_transcript", 1)
    assert caught.value.message == "transcript: there is no text in it"
    assert vault.records.counts().contents == 0


@pytest.mark.parametrize("name", ["transcript", "title"])
@pytest.mark.parametrize("blank", [" \n", "\u200b", "\u3164\u2800"])
def test_a_blank_argument_is_refused(bus: TestBus, name: str, blank: str) -> None:
    with pytest.raises(InvalidCall, match=f"{name}: it is empty"):
        bus.call(TASK, VIDEO, **{"transcript": "Words.", name: blank})


def test_every_cue_of_a_recorded_srt_is_kept(recorded: Any) -> None:
    source = recorded("captions/manual.expected.srt").decode()

    text, segments = parse_caption_text(source)

    assert segments is not None
    assert len(segments) == source.count("-->")
    assert segments[0] == Segment("Hi, I'm Vanessa from SpeakEnglishWithVanessa.com.", 0.21, 3.83)
    assert text.startswith("Hi, I'm Vanessa")
    assert "-->" not in text


def test_the_repeated_lines_of_generated_vtt_are_said_once(recorded: Any) -> None:
    text, _ = parse_caption_text(recorded("captions/youtube_dl.vtt").decode())

    assert text == "yeah\nwhat\nthis will happen is I'm telling"


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("\ufeffWEBVTT\r\n\r\n00:01.000 --> 00:02.000\r\nNo.\r\n\r\n00:02.000 --> 00:03.000\r\nNo.",
         ["No.", "No."]),
        ("1\n00:00:01,000 --> 00:00:02,000\nblank\n\nbefore this\n\n2\n"
         "00:00:03,000 --> 00:00:04,000\n1984", ["blank before this", "1984"]),
        ("00:00:01,000 --> 00:00:02,000\na\n2\n00:00:03,000 --> 00:00:04,000\nb", ["a", "b"]),
    ],
    ids=["said twice", "blank line in a cue", "no blank lines"],
)  # fmt: skip
def test_no_word_is_lost(source: str, texts: list[str]) -> None:
    _, segments = parse_caption_text(source)

    assert segments is not None
    assert [segment.text for segment in segments] == texts


def test_recorded_json3_says_what_its_srt_says(recorded: Any) -> None:
    json3 = parse_caption_text(recorded("captions/manual.json3.json").decode())

    assert json3 == parse_caption_text(recorded("captions/manual.expected.srt").decode())
    assert len(json3.segments or ()) == 151


def test_generated_json3_has_each_word_once_and_times_that_do_not_overlap(recorded: Any) -> None:
    source = recorded("captions/asr.json3.json.gz").decode()

    text, segments = parse_caption_text(source)

    assert segments is not None
    said = [event for event in json.loads(source)["events"] if "aAppend" not in event]
    words = "".join(piece["utf8"] for event in said for piece in [*event.get("segs", ()), _SPACE])
    assert text.split() == words.split()
    assert segments[0] == Segment("in the comments all right oh good I", 0, 3)
    assert all(one.start + one.duration <= two.start + 0.001 for one, two in pairwise(segments))


@pytest.mark.parametrize("name", ["recorded", "small"])
def test_youtube_s_xml_is_read_as_youtube_transcript_api_reads_it(
    recorded: Any, answers: Any, bus: TestBus, talking: Any, vault: Vault, name: str
) -> None:
    raw = answers.CAPTIONS
    if name == "recorded":
        raw = recorded("transcript-api/transcript.xml.static").decode()
    talking.answer("/api/timedtext", raw)

    content = vault.records.get_content(bus.call(TASK, VIDEO)["content_id"])

    text, segments = parse_caption_text(raw)
    assert vault.objects.get(content.objects["text"]).decode() == text
    assert vault.objects.get(content.objects["segments"]) == index_json(segments or [])


@pytest.mark.parametrize(
    "source",
    [
        "{",
        "{ curly words",
        "[1, 2]",
        '{"events": 5}',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
    ids=["brace", "words", "list", "no events", "deep list", "deep object"],
)
def test_what_only_looks_like_json3_is_plain_text(source: str) -> None:
    assert parse_caption_text(source) == (source, None)


@pytest.mark.parametrize(
    "event",
    [
        5,
        {"segs": [{"utf8": "x"}]},
        {"tStartMs": "1", "segs": [{"utf8": "x"}]},
        {"tStartMs": True, "segs": [{"utf8": "x"}]},
        {"tStartMs": -1, "segs": [{"utf8": "x"}]},
        {"tStartMs": 10**400, "segs": [{"utf8": "x"}]},
        {"tStartMs": 1, "segs": [{"utf8": 5}, 5]},
        {"tStartMs": 1, "segs": 5},
    ],
)
def test_strange_events_are_left_out(event: Any) -> None:
    good = {"tStartMs": 2, "dDurationMs": "long", "segs": [{"utf8": "good"}]}

    text, segments = parse_caption_text(json.dumps({"events": [event, good]}))

    assert (text, segments) == ("good", [Segment("good", 0.002, 0)])


def test_xml_entities_of_a_transcript_are_not_expanded() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'

    text, _ = parse_caption_text(f'{bomb}<transcript><text start="1">&b;</text></transcript>')

    assert text == "&b;"
