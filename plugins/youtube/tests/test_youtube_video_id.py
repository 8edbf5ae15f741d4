"""From URL forms to a video's id."""

from __future__ import annotations

import pytest

from menos_bus import Permanent
from menos_youtube.video_id import parse_video_id, watch_url

ID = "dQw4w9WgXcQ"


@pytest.mark.parametrize(
    "url",
    [
        ID,
        f"  {ID}\n",
        f"https://www.youtube.com/watch?v={ID}",
        f"http://youtube.com/watch?v={ID}",
        f"https://WWW.YouTube.com:443/watch?feature=share&v={ID}&t=42s#top",
        f"https://m.youtube.com/watch?v={ID}&list=PL1234567890&index=2",
        f"https://music.youtube.com/watch?v={ID}&si=x",
        f"https://kids.youtube.com/watch?v={ID}",
        f"https://www.youtube.com/watch_popup?v={ID}",
        f"https://youtu.be/{ID}",
        f"https://youtu.be/{ID}/?t=5",
        f"youtube.com/watch?v={ID}",
        f" WWW.YouTube.com/shorts/{ID} ",
        f"youtu.be/{ID}?t=5",
        f"https://www.youtube.com/shorts/{ID}?feature=share",
        f"https://www.youtube.com/live/{ID}",
        f"https://www.youtube.com/embed/{ID}?autoplay=1",
        f"https://www.youtube-nocookie.com/embed/{ID}",
        f"https://www.youtube.com/v/{ID}?version=3",
        f"https://www.youtube.com/e/{ID}",
        f"https://www.youtube.com/attribution_link?a=x&u=%2Fwatch%3Fv%3D{ID}%26feature%3Dshare",
    ],
)
def test_every_form_names_the_video(url: str) -> None:
    assert parse_video_id(url) == ID


@pytest.mark.parametrize(
    "url",
    [
        f"https://youtube.com.evil.example/watch?v={ID}",
        f"https://notyoutube.com/watch?v={ID}",
        f"https://www.youtube.com@evil.example/watch?v={ID}",
        f"https://evil.example@www.youtube.com/watch?v={ID}",
        f"https://evil.example/?u=https://www.youtube.com/watch?v={ID}",
        f"https://evil.example\\@www.youtube.com/watch?v={ID}",
        f"https://www.youtube.com:8080/watch?v={ID}",
        f"https://www.youtube.com:99999/watch?v={ID}",
        f"https://yоutube.com/watch?v={ID}",  # a Cyrillic о
        f"https://[::1/watch?v={ID}",
        f"youtube.com.evil.example/watch?v={ID}",
        f"www.youtube.com@evil.example/watch?v={ID}",
        f"www.youtube.com:99999/watch?v={ID}",
        "www.youtube.com",
        f"ftp://www.youtube.com/watch?v={ID}",
        f"file:///etc/passwd?v={ID}",
        f"javascript:alert('{ID}')",
        f"https://www.you\ntube.com/watch?v={ID}",
        f"https://www.youtube.com/attribution_link?u=https://evil.example/watch?v={ID}",
        "https://www.youtube.com/attribution_link?u=/attribution_link%3Fu%3D/watch",
        f"https://vimeo.com/{ID}",
        f"https://www.youtube.com/watch?v={ID}x",
        f"https://www.youtube.com/watch?v={ID[:-1]}",
        f"https://www.youtube.com/watch?v={ID}&v=AAAAAAAAAAA",
        "https://www.youtube.com/watch?v=../../../etc",
        f"https://youtu.be/{ID}x",
        "https://youtu.be/",
        ID[:-1],
        f"{ID}x",
        "dQw4w9WgXc!",
        "dQw4w9WgXcé",
        "../../../..",
        " ",
    ],
)
def test_everything_else_is_refused_and_the_field_named(url: str) -> None:
    with pytest.raises(Permanent, match=r"^url: ") as caught:
        parse_video_id(url)

    assert caught.value.code == "invalid_url"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://www.youtube.com/playlist?list=PL123", "playlist"),
        ("https://www.youtube.com/embed/videoseries?list=PL123", "playlist"),
        ("https://www.youtube.com/watch?list=PL123", "playlist"),
        ("https://www.youtube.com/@somebody", "channel"),
        ("https://www.youtube.com/channel/UC_x5XG1OV2P6uZZ5FSM9Ttw", "channel"),
        ("https://www.youtube.com/user/somebody", "channel"),
        ("https://www.youtube.com/c/somebody", "channel"),
        ("https://www.youtube.com/feed/trending", "no video"),
    ],
)
def test_lists_and_channels_are_told_from_videos(url: str, word: str) -> None:
    with pytest.raises(Permanent, match=word):
        parse_video_id(url)


def test_the_url_is_rebuilt_from_the_id() -> None:
    assert watch_url(ID) == f"https://www.youtube.com/watch?v={ID}"
