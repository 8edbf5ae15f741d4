"""From what people paste to playlists and channels."""

from __future__ import annotations

import pytest

from menos_bus import Permanent
from menos_youtube.channel_name import ChannelName, parse_channel
from menos_youtube.playlist_id import parse_playlist_id

LIST = "PLIivdWyY5sqJxnwJhe3etaK7utrBiPBQ2"
CHANNEL = "UC_x5XG1OV2P6uZZ5FSM9Ttw"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (LIST, LIST),
        (f"  {LIST}\n", LIST),
        (f"https://www.youtube.com/playlist?list={LIST}", LIST),
        (f"https://m.youtube.com/playlist?si=x&list={LIST}#top", LIST),
        (f"https://music.youtube.com/playlist?list={LIST}", LIST),
        (f"https://www.youtube.com/embed/videoseries?list={LIST}", LIST),
        (f"https://www.youtube-nocookie.com/embed/videoseries?list={LIST}", LIST),
        (f"https://www.youtube.com/watch?v=dQw4w9WgXcQ&list={LIST}&index=2", LIST),
        (f"https://youtu.be/dQw4w9WgXcQ?list={LIST}", LIST),
        (f"www.youtube.com/playlist?list={LIST}", LIST),
        ("PL0123456789ABCDEF", "PL0123456789ABCDEF"),
        (f"UU{CHANNEL[2:]}", f"UU{CHANNEL[2:]}"),
        (f"UULF{CHANNEL[2:]}", f"UULF{CHANNEL[2:]}"),
        ("OLAK5uy_" + "a" * 33, "OLAK5uy_" + "a" * 33),
    ],
)
def test_every_form_names_the_playlist(url: str, found: str) -> None:
    assert parse_playlist_id(url) == found


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"https://youtube.com.evil.example/playlist?list={LIST}", "is not YouTube"),
        (f"https://evil.example/?u=https://www.youtube.com/playlist?list={LIST}", "not YouTube"),
        (f"https://www.youtube.com@evil.example/playlist?list={LIST}", "is not YouTube"),
        (f"javascript:alert('{LIST}')", "no playlist id"),
        (f"{LIST}x", "no playlist id"),
        (LIST[:-1], "no playlist id"),
        ("https://www.youtube.com/playlist?list=../../etc", "no playlist id"),
        (f"https://www.youtube.com/playlist?list={LIST}&list=PL0123456789ABCDEF", "several"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=RDdQw4w9WgXcQ", "a mix"),
        ("https://www.youtube.com/playlist?list=WL", "its owner's alone"),
        ("https://www.youtube.com/playlist?list=LL", "its owner's alone"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "behind `list=`"),
        ("https://www.youtube.com/playlist", "behind `list=`"),
        ("https://www.youtube.com/@somebody", "no playlist"),
        ("dQw4w9WgXcQ", "no playlist id"),
        (" ", "no playlist id"),
    ],
)
def test_everything_else_is_no_playlist_and_the_reason_is_told(url: str, told: str) -> None:
    with pytest.raises(Permanent, match=f"^url: .*{told}") as caught:
        parse_playlist_id(url)

    assert caught.value.code == "invalid_url"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (CHANNEL, ("id", CHANNEL)),
        ("@somebody", ("handle", "@somebody")),
        (" @some.body-2_x\n", ("handle", "@some.body-2_x")),
        ("@日本語チャンネル", ("handle", "@日本語チャンネル")),
        (f"https://www.youtube.com/channel/{CHANNEL}", ("id", CHANNEL)),
        (f"https://www.youtube.com/channel/{CHANNEL}/videos?view=0", ("id", CHANNEL)),
        ("https://youtube.com/@somebody", ("handle", "@somebody")),
        ("youtube.com/@somebody", ("handle", "@somebody")),
        ("https://www.youtube.com/@somebody/shorts", ("handle", "@somebody")),
        ("https://www.youtube.com/%40somebody", ("handle", "@somebody")),
        ("https://www.youtube.com/@m%C3%BCller", ("handle", "@müller")),
        ("https://www.youtube.com/user/Google", ("user", "Google")),
        ("https://www.youtube.com/c/GoogleDevelopers/featured", ("custom", "GoogleDevelopers")),
    ],
)
def test_every_form_names_the_channel(url: str, found: tuple[str, str]) -> None:
    assert parse_channel(url) == ChannelName(*found)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"https://notyoutube.com/channel/{CHANNEL}", "is not YouTube"),
        ("https://www.youtube.com.evil.example/@somebody", "is not YouTube"),
        (f"{CHANNEL}x", "starts with https://"),
        (f"https://www.youtube.com/channel/{CHANNEL}x", "UC and 22 more"),
        ("@x", "3 to 30"),
        ("@" + "x" * 31, "3 to 30"),
        ("@some body", "names no channel"),
        ("@somebody&key=x", "names no channel"),
        ("https://www.youtube.com/@some%2Fbody", "names no channel"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "no channel"),
        ("https://www.youtube.com/channel/", "no channel"),
        ("https://www.youtube.com/", "no channel"),
        ("somebody", "starts with https://"),
        ("", "give the URL"),
    ],
)
def test_everything_else_is_no_channel_and_the_reason_is_told(url: str, told: str) -> None:
    with pytest.raises(Permanent, match=told) as caught:
        parse_channel(url)

    assert caught.value.code == "invalid_url"
