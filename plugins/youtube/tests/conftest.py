"""A bus with a local server in YouTube's place, and the recorded answers that it can give."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import menos_youtube.plugin
from fake_youtube import CAPTIONS, WATCH_PAGE, FakeChannel, FakeYouTube, player
from menos_bus.testing import TestBus
from menos_vault import Vault, close_vault, open_vault

RECORDED = Path(__file__).parents[3].parent / "shared" / "data" / "youtube"


def read_recorded(name: str) -> bytes:
    """A recorded answer; the test is skipped where they are not at hand."""
    path = RECORDED / name
    if not path.exists():
        pytest.skip(f"needs the recorded answer ../shared/data/youtube/{name}")
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


@pytest.fixture
def recorded() -> Callable[[str], bytes]:
    """Reads a recorded answer."""
    return read_recorded


@pytest.fixture
def answers() -> SimpleNamespace:
    """Small answers that need no recording."""
    return SimpleNamespace(player=player, WATCH_PAGE=WATCH_PAGE, CAPTIONS=CAPTIONS)


@pytest.fixture
def youtube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeYouTube]:
    """A server in the place of YouTube's site and of the Data API; no key is set."""
    server = FakeYouTube()
    monkeypatch.chdir(tmp_path)  # no .env from elsewhere
    for name in ("API_KEY", "LANGUAGES", "PROXY", "SOURCES", "TIMEOUT"):
        monkeypatch.delenv(f"MENOS_YOUTUBE_{name}", raising=False)
    monkeypatch.setenv("MENOS_YOUTUBE_SITE_URL", server.url)
    monkeypatch.setenv("MENOS_YOUTUBE_API_URL", f"{server.url}/v3")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.close()


@pytest.fixture
def talking(youtube: FakeYouTube) -> FakeYouTube:
    """A server that has one video with English captions."""
    youtube.answer("/watch", WATCH_PAGE)
    youtube.answer("/youtubei/v1/player", player("en"))
    youtube.answer("/api/timedtext", CAPTIONS)
    return youtube


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """The process's vault, in a folder of this test."""
    close_vault()
    for name in ("URL", "OBJECTS"):
        monkeypatch.delenv(f"MENOS_VAULT_{name}", raising=False)
    monkeypatch.setenv("MENOS_HOME", str(tmp_path / "home"))
    yield open_vault()
    close_vault()


@pytest.fixture
def bus(youtube: FakeYouTube, vault: Vault) -> TestBus:
    """A bus of this plugin, with the local server and an empty vault."""
    return TestBus(menos_youtube.plugin)


@pytest.fixture
def channel(youtube: FakeYouTube, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], FakeChannel]:
    """Make a channel with so many videos; a key is set, and transcripts need not wait."""
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "s3cret")
    monkeypatch.setenv("MENOS_YOUTUBE_TRANSCRIPT_RATE", "0")
    return lambda videos: FakeChannel(youtube, videos)
