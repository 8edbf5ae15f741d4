"""What the plugin declares: hooks, settings, light imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from menos_bus import InvalidCall, PluginError
from menos_bus.testing import TestBus
from menos_youtube import metadata, plugin
from menos_youtube.settings import YoutubeSettings

HEAVY = {
    "celery",
    "httpx",
    "menos_vault",
    "numpy",
    "openvino",
    "requests",
    "semantic_text_splitter",
    "surrealdb",
    "tokenizers",
    "youtube_transcript_api",
    "yt_dlp",
}


def test_importing_plugin_and_tasks_loads_nothing_heavy() -> None:
    code = (
        "import sys, menos_bus; before = set(sys.modules)\n"
        "import menos_youtube.plugin, menos_youtube.tasks, menos_youtube.settings\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert HEAVY.isdisjoint(loaded)


def test_the_task_s_schema_describes_and_bounds_every_parameter(bus: TestBus) -> None:
    spec = bus.registry["tasks.ingest_youtube"]

    schema = spec.signature.parameters_schema

    assert spec.queue == "youtube"
    assert spec.summary.startswith("Store a YouTube video")
    assert set(schema["properties"]) == {
        "url", "priority", "transcript", "title", "language", "refresh", "process",
    }  # fmt: skip
    assert schema["required"] == ["url"]
    assert all(field["description"] for field in schema["properties"].values())


def test_a_url_of_another_site_is_refused_at_the_door(bus: TestBus, youtube: Any) -> None:
    with pytest.raises(InvalidCall) as caught:
        bus.call("tasks.ingest_youtube", "https://vimeo.com/1234567")

    assert caught.value.message == "url: 'vimeo.com' is not YouTube"
    assert youtube.asked == []


def test_health_says_whether_there_is_a_key_and_asks_nobody(
    youtube: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without, sources = plugin.check_health(lambda point: {})
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "s3cret")
    with_key, _ = plugin.check_health(lambda point: {})

    assert (without.ok, with_key.ok, sources.ok) == (True, True, True)
    assert "no API key" in without.message
    assert "an API key is set" in with_key.message
    assert "s3cret" not in with_key.message
    assert youtube.asked == []


def test_health_names_a_source_that_is_not_there(
    bus: TestBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    for names, said, fix in (
        ("youtube-transcript-api,nots", "names 'nots'", "known are youtube-transcript-api, yt-dlp"),
        ("yt-dlp", "not installed", "pip install 'menos-youtube[yt-dlp]'"),
    ):
        monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", names)

        _, found = bus.hooks.check_health()

        assert (found.name, found.ok) == ("youtube.sources", False)
        assert said in found.message
        assert fix in found.fix


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SITE_URL", "www.youtube.com"),
        ("SITE_URL", "https://:80"),
        ("API_URL", "ftp://x"),
        ("API_URL", "http://x:99999"),
        ("PROXY", "http://proxy:port"),
        ("QUOTA_ZONE", "Mars"),
        ("TIMEOUT", "0"),
        ("TIMEOUT", "x"),
    ],
)
def test_a_wrong_setting_fails_the_plugin_by_the_variable_s_name(
    youtube: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"MENOS_YOUTUBE_{name}", value)

    with pytest.raises(PluginError, match=f"MENOS_YOUTUBE_{name}"):
        TestBus(plugin)


def test_settings_come_from_a_dotenv_file_and_empty_ones_do_not_count(
    youtube: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("MENOS_YOUTUBE_API_KEY=from-file\nMENOS_OTHER=1\n")
    monkeypatch.setenv("MENOS_YOUTUBE_PROXY", "")

    settings = YoutubeSettings()

    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "from-file"
    assert "from-file" not in repr(settings)
    assert settings.proxy is None
    with pytest.raises(ValidationError):
        settings.timeout = 5  # type: ignore[misc]


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'{"videoDetails": 5, "items": {}}'])
def test_metadata_of_a_strange_answer_is_empty(raw: bytes) -> None:
    for read in (metadata.from_data_api, metadata.from_player, metadata.from_oembed):
        assert read(raw) == metadata.Metadata()


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT5M16S", 316), ("PT2H", 7200), ("P1DT1S", 86401), ("soon", None)]
)
def test_durations_are_seconds(text: str, seconds: int | None) -> None:
    raw = b'{"items": [{"contentDetails": {"duration": "%s"}}]}' % text.encode()

    assert metadata.from_data_api(raw).details.get("duration_seconds") == seconds
