"""What the player's answer says about a video that it does not play.

YouTube says it in a status and in texts for people; the texts are English, since every request
asks for that. The status alone tells little: ``LOGIN_REQUIRED`` is a private video, one for adults,
or an address that YouTube takes for a robot's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from menos_bus.errors import TaskError
from menos_youtube.errors import named
from menos_youtube.foreign import as_object, objects_of, one_line, part_of

_BY_TEXT: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"not a bot|unusual traffic|try again later", "RequestBlocked"),
        (r"members[- ]only|join this channel|this channel.s members", "MembersOnly"),
        (r"\bprivate\b", "PrivateVideo"),
        (r"confirm your age|age[- ]restricted|inappropriate for some users", "AgeRestricted"),
        (r"live event will begin|premieres in|premiere will begin", "LiveVideo"),
    )
)
"""Text → the error's name in :mod:`menos_youtube.errors`; the first that fits decides."""

_BY_STATUS: Final = {
    "AGE_CHECK_REQUIRED": "AgeRestricted",
    "AGE_VERIFICATION_REQUIRED": "AgeRestricted",
    "LIVE_STREAM_OFFLINE": "LiveVideo",
    "LOGIN_REQUIRED": "RequestBlocked",
    "ERROR": "VideoUnavailable",
}


def refusal(raw: bytes | None) -> TaskError | None:
    """Say why there can be no transcript, as far as a player's answer tells.

    Returns:
        The error; ``None`` if the video is playable, or the answer is none that is known.
    """
    answer = as_object(raw or b"")
    playability = part_of(answer, "playabilityStatus")
    video = part_of(answer, "videoDetails")
    status = playability.get("status")
    if video.get("isLive") is True or video.get("isUpcoming") is True:
        return named("LiveVideo")
    if not isinstance(status, str) or status == "OK":
        return None
    texts = list(dict.fromkeys(_texts(playability)))
    said = one_line(" ".join(texts))
    if "isLegacyAgeGate" in playability or "desktopLegacyAgeGateReason" in playability:
        return named("AgeRestricted")
    name = next((name for pattern, name in _BY_TEXT if pattern.search(said)), None)
    name = name or _BY_STATUS.get(status, "VideoUnplayable")
    if name == "VideoUnavailable" and texts:
        name = "VideoUnplayable"  # whose message repeats what YouTube says
    return named(name, said[:300] or status)


def _texts(playability: dict[str, Any]) -> Iterator[str]:
    """What the answer says to people: the reason, further messages, the smaller print."""
    renderer = part_of(part_of(playability, "errorScreen"), "playerErrorMessageRenderer")
    messages = playability.get("messages")
    for value in (
        playability.get("reason"),
        *(messages if isinstance(messages, list) else ()),
        renderer.get("reason"),
        renderer.get("subreason"),
    ):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            pieces = [run.get("text") for run in objects_of(value, "runs")]
            text = value.get("simpleText") or "".join(p for p in pieces if isinstance(p, str))
            if isinstance(text, str) and text:
                yield text
