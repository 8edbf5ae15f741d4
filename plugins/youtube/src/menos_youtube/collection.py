"""What a playlist or a channel has, as one call sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["wanted", "stored", "no_transcript", "unavailable"]


@dataclass(frozen=True)
class Video:
    """A video of a list.

    Attributes:
        id: its id.
        title: as the list has it.
        state: ``wanted`` (to be ingested), ``stored`` (the vault has it), ``no_transcript`` (the
            vault knows that it has none, from a look not long ago) or ``unavailable`` (private,
            removed, or not out yet).
    """

    id: str
    title: str
    state: State = "wanted"


@dataclass(frozen=True)
class Collection:
    """A playlist, or a channel's uploads, as they were when the call first looked.

    Attributes:
        id: of the playlist or the channel.
        title: of a channel; a playlist's would cost a unit.
        total: videos that YouTube says it has.
        more: whether there were more than were asked for.
        videos: those that were asked for, in its order, none twice.
    """

    id: str
    title: str | None
    total: int | None
    more: bool
    videos: list[Video]
