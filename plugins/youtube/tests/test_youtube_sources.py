"""Who is asked for a transcript, in which order, and how other plugins join in."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import menos_youtube
import menos_youtube.plugin
from menos_bus import Deferred, Permanent, Retryable, TaskFailed, hookimpl
from menos_bus.testing import TestBus
from menos_vault import Vault
from menos_youtube import Segment, Transcript, TranscriptSource, Wanted, errors
from menos_youtube.settings import YoutubeSettings
from menos_youtube.sources.order import choose, fetch_first

TASK = "tasks.ingest_youtube"
VIDEO = "GJLlxj_dtq8"
YOUTUBE_PATHS = ["/watch", "/youtubei/v1/player", "/api/timedtext"]


class Notes:
    """A third party's source."""

    name = "notes"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[Wanted] = []

    def fetch(self, wanted: Wanted) -> Transcript:
        self.asked.append(wanted)
        key = wanted.archive("notes.txt", b"raw notes")
        if self.error is not None:
            raise self.error
        segments = [Segment("Hello", 0, 5), Segment(" ", 2, 1), Segment("world", 3, 5)]
        return Transcript.of(segments, "eo", "somebody's notes", key)


def third_party(*sources: object) -> ModuleType:
    """A plugin that registers sources."""
    module = ModuleType("menos_notes")

    @hookimpl
    def register_extensions(register: Any) -> None:
        for source in sources:
            register("youtube.transcript_source", source)

    module.register_extensions = register_extensions  # type: ignore[attr-defined]
    return module


def test_a_third_party_s_source_is_asked_when_the_setting_names_it(
    youtube: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    bus = TestBus(menos_youtube.plugin, third_party(notes))
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", " notes ,")
    monkeypatch.setenv("MENOS_YOUTUBE_LANGUAGES", "eo, fr")
    youtube.answer("/oembed", {"title": "By oEmbed"})

    result = bus.call(TASK, VIDEO)

    content = vault.records.get_content(result["content_id"])
    assert youtube.paths == ["/oembed"]
    assert (content.title, content.language) == ("By oEmbed", "eo")
    assert content.metadata["transcript_source"] == "somebody's notes"
    assert vault.objects.get(content.objects["transcript"]) == b"raw notes"
    assert vault.objects.get(content.objects["text"]) == b"Hello\nworld"
    assert json.loads(vault.objects.get(content.objects["segments"])) == [[0, 0, 3], [6, 3, 5]]
    [wanted] = notes.asked
    assert (wanted.video_id, wanted.languages) == (VIDEO, ["eo", "fr"])
    assert wanted.settings.site_url == youtube.url


def test_the_next_source_is_asked_when_one_fails_and_not_before(
    talking: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    bus = TestBus(menos_youtube.plugin, third_party(notes))
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", "youtube-transcript-api,notes")

    bus.call(TASK, VIDEO)
    assert notes.asked == []

    talking.answer("/api/timedtext", "")
    result = bus.call(TASK, VIDEO, refresh=True)
    assert len(notes.asked) == 1
    assert vault.records.get_content(result["content_id"]).language == "eo"


def test_a_caller_s_transcript_is_the_only_source_of_its_call(
    youtube: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    bus = TestBus(menos_youtube.plugin, third_party(notes))
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", "notes")

    with pytest.raises(TaskFailed, match="no_transcript"):
        bus.call(TASK, VIDEO, transcript="WEBVTT\n", title="T")

    assert notes.asked == youtube.asked == []


def test_an_unknown_source_is_refused_before_anything_is_asked(
    talking: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = TestBus(menos_youtube.plugin, third_party(Notes()))
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "key")
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", "youtube-transcript-api,nots")

    with pytest.raises(TaskFailed) as caught:
        bus.call(TASK, VIDEO)

    assert (caught.value.code, caught.value.tries) == ("source_unavailable", 1)
    assert "'nots'" in caught.value.message
    assert "notes, youtube-transcript-api, yt-dlp" in caught.value.message
    assert talking.asked == []


def test_an_object_that_is_no_source_is_refused(
    talking: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        name = "nothing"

    bus = TestBus(menos_youtube.plugin, third_party(Nothing()))
    assert bus.call(TASK, VIDEO)["status"] == "success"  # nobody asks for it
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", "nothing")

    with pytest.raises(TaskFailed) as caught:
        bus.call(TASK, VIDEO, refresh=True)

    assert caught.value.code == "source_unavailable"
    assert "'nothing'" in caught.value.message
    assert "`fetch`" in caught.value.message


def test_the_first_error_that_may_pass_decides_and_each_source_is_quoted() -> None:
    gone = Notes(Permanent("the video is gone", code="video_unavailable"))
    blocked = Notes(Retryable("too many requests " * 50, code="blocked", after=7))
    broken = Notes(Retryable("no answer", code="network"))
    gone.name, blocked.name, broken.name = "one", "two", "three"

    with pytest.raises(Retryable) as passing:
        fetch_first([gone, blocked, broken], _wanted())
    with pytest.raises(Permanent) as lasting:
        fetch_first([gone, gone], _wanted())
    with pytest.raises(Permanent) as alone:
        fetch_first([gone], _wanted())

    assert (passing.value.code, passing.value.after) == ("blocked", 7)
    assert passing.value.message.startswith("one: the video is gone; two: too many")
    assert passing.value.message.endswith("…; three: no answer")
    assert len(passing.value.message) < 250
    assert lasting.value.code == "video_unavailable"
    assert alone.value is gone.error


def test_a_source_that_has_to_wait_puts_the_whole_task_back() -> None:
    with pytest.raises(Deferred):
        fetch_first([Notes(Deferred("not yet")), Notes()], _wanted())


def test_a_transcript_without_words_is_none() -> None:
    class Silent(Notes):
        def fetch(self, wanted: Wanted) -> Transcript:
            return Transcript.of([Segment(" ", 0, 1)], "en", "silence", "key")

    with pytest.raises(Permanent, match="no transcript") as caught:
        fetch_first([Silent()], _wanted())

    assert caught.value.code == "no_transcript"


def test_text_and_segments_must_fit_each_other() -> None:
    with pytest.raises(ValueError, match=r"Transcript\.of"):
        Transcript("Hello world", [Segment("Hello", 0, 1)], None, "x", "key")


def test_ours_fulfil_the_protocol_and_our_names_are_known() -> None:
    names = ["yt-dlp", "youtube-transcript-api"]
    sources: list[TranscriptSource] = choose(names, {})

    assert [source.name for source in sources] == names


def test_the_setting_has_a_default_and_may_not_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MENOS_YOUTUBE_SOURCES", raising=False)
    assert YoutubeSettings().sources == ("youtube-transcript-api",)
    assert YoutubeSettings().languages == ("en",)

    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", ",")
    with pytest.raises(ValueError, match="sources"):
        YoutubeSettings()

    monkeypatch.delenv("MENOS_YOUTUBE_SOURCES")
    monkeypatch.setenv("MENOS_YOUTUBE_LANGUAGES", "en,german!")
    with pytest.raises(ValueError, match=r"'german!' is no BCP 47 tag"):
        YoutubeSettings()


def test_languages_of_the_setting_are_preferred_unless_the_call_names_some(
    bus: TestBus, talking: Any, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_LANGUAGES", "sv,de")
    talking.answer("/youtubei/v1/player", answers.player("en", "de", "fr"))

    bus.call(TASK, VIDEO)
    bus.call(TASK, VIDEO, language="fr", refresh=True)

    asked = [asked.query["lang"] for asked in talking.asked if asked.path == "/api/timedtext"]
    assert asked == ["de", "fr"]


def test_answers_are_archived_before_anything_is_read_in_them(
    bus: TestBus, talking: Any, vault: Vault
) -> None:
    paths = {
        "watch.html.gz": "/watch",
        "player.json": YOUTUBE_PATHS[1],
        "captions.xml": "/api/timedtext",
    }
    for name, path in reversed(paths.items()):
        talking.answer(path, f"<html>nobody can read {name}")

        with pytest.raises(TaskFailed, match="youtube_error"):
            bus.call(TASK, VIDEO)

        raw = vault.objects.get(f"youtube/{VIDEO}/{name}")
        raw = gzip.decompress(raw) if name.endswith(".gz") else raw
        assert raw.decode() == f"<html>nobody can read {name}"


@pytest.mark.parametrize("name", ["youtube-transcript-api", "yt-dlp"])
@pytest.mark.parametrize("path", ["/youtubei/v1/player", "/api/timedtext"])
def test_a_rate_limit_says_itself_how_long_it_lasts(
    talking: Any, answers: Any, name: str, path: str
) -> None:
    player = answers.player("en")
    player["videoDetails"]["videoId"] = VIDEO
    talking.answer("/youtubei/v1/player", player)
    talking.answer(path, "too many", status=429, Retry_After="7")
    [source] = choose([name], {})

    with pytest.raises(Retryable) as caught:
        source.fetch(_wanted())

    assert (caught.value.code, caught.value.after) == ("blocked", 7)


@pytest.mark.parametrize("name", ["youtube-transcript-api", "yt-dlp"])
def test_an_archive_that_takes_nothing_is_not_youtube_s_fault(
    bus: TestBus, talking: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", name)
    Path(vault.settings.objects).mkdir(parents=True)
    (Path(vault.settings.objects) / "youtube").write_text("where a folder should be")

    with pytest.raises(TaskFailed) as caught:
        bus.call(TASK, VIDEO)

    assert (caught.value.code, caught.value.tries) == ("invalid_key", 1)  # the vault's own


def test_every_request_asks_for_english_texts(bus: TestBus, talking: Any) -> None:
    bus.call(TASK, VIDEO)

    assert {asked.headers["Accept-Language"] for asked in talking.asked} == {"en-US"}


def test_the_public_names_are_these() -> None:
    assert menos_youtube.__all__ == [
        "Segment", "Transcript", "TranscriptSource", "Wanted", "__version__",
    ]  # fmt: skip


def test_the_example_of_the_readme_works(
    youtube: Any, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    module = ModuleType("menos_files")
    monkeypatch.setitem(sys.modules, "menos_files", module)
    exec(code, vars(module))
    (tmp_path / "transcripts").mkdir()
    (tmp_path / "transcripts" / f"{VIDEO}.txt").write_text("Hello\nworld")
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", "files")
    bus = TestBus(menos_youtube.plugin, module)

    result = bus.call(TASK, VIDEO, title="T")

    content = vault.records.get_content(result["content_id"])
    assert content.metadata["transcript_source"] == "a folder"
    assert json.loads(vault.objects.get(content.objects["segments"])) == [[0, 0, 10], [6, 10, 10]]


def test_the_table_in_the_docs_has_the_codes_of_the_plugin() -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs/errors.md").read_text()
    page = page.partition("From the plugin `youtube`:")[2].partition("\nFrom ")[0]
    table = re.findall(r"^(\w+) +(?:no|yes|later) ", errors.__doc__ or "", re.MULTILINE)

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == table


def _wanted() -> Wanted:
    return Wanted(VIDEO, ["en"], YoutubeSettings(), lambda name, raw: name)
