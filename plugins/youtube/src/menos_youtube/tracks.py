"""Which of a video's caption tracks is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def choose_track(
    tracks: Sequence[T], languages: Sequence[str], describe: Callable[[T], tuple[str, bool]]
) -> T | None:
    """Choose captions: the first language that there is, written ones before generated ones.

    ``en`` takes ``en-GB`` as well. If no language fits: the language that is spoken, which the
    generated captions tell, then whatever comes first.

    Args:
        tracks: what there is.
        languages: BCP 47 tags, the best first.
        describe: a track's language, and whether it was generated.
    """

    def language(track: T) -> str:
        return describe(track)[0]

    def generated(track: T) -> bool:
        return describe(track)[1]

    for wanted in languages:
        fitting = [track for track in tracks if _primary(language(track)) == _primary(wanted)]
        if fitting:
            return min(fitting, key=lambda t: (generated(t), language(t).lower() != wanted.lower()))
    spoken = {_primary(language(track)) for track in tracks if generated(track)}
    in_spoken = [track for track in tracks if _primary(language(track)) in spoken]
    return next(iter(in_spoken or tracks), None)


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()
