"""Which sources are asked, in which order, and what it means if none has a transcript."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import Final, cast

from menos_bus import Deferred, Permanent, Retryable, extensions
from menos_bus.errors import TaskError
from menos_youtube.errors import no_source, no_transcript
from menos_youtube.sources import POINT, Transcript, TranscriptSource, Wanted
from menos_youtube.sources.transcript_api import TranscriptApi
from menos_youtube.sources.yt_dlp import YtDlp

_OURS: Final[dict[str, TranscriptSource]] = {
    source.name: source for source in (TranscriptApi(), YtDlp())
}
_SAID: Final = 160
"""Characters of what one of several sources said."""


def choose(names: Sequence[str]) -> list[TranscriptSource]:
    """The sources of these names: ours, and those that plugins register, which come first.

    Raises:
        Permanent: ``source_unavailable``; there is none of a name, or it is no source.
    """
    known: dict[str, object] = {**_OURS, **extensions(POINT)}
    chosen = []
    for name in names:
        if name not in known:
            raise no_source(
                f"MENOS_YOUTUBE_SOURCES: there is no transcript source {name!r}; known are "
                + ", ".join(sorted(known))
            )
        source = known[name]
        if not callable(getattr(source, "fetch", None)):
            raise no_source(
                f"MENOS_YOUTUBE_SOURCES: {name!r} is no transcript source: what is registered at "
                f"{POINT} needs a method `fetch`"
            )
        chosen.append(cast(TranscriptSource, source))
    return chosen


def fetch_first(sources: Sequence[TranscriptSource], wanted: Wanted) -> Transcript:
    """The transcript of the first source that has one.

    Raises:
        Deferred: one of them has to wait.
        TaskError: none has. The first error that may pass, else the first one; with several
            sources its message says what each of them said.
    """
    errors: list[tuple[str, TaskError]] = []
    for source in sources:
        try:
            transcript = source.fetch(wanted)
            if not transcript.text.strip():
                raise no_transcript()
        except Deferred:
            raise  # the whole task is to wait
        except TaskError as error:
            errors.append((source.name, error))
        else:
            return transcript
    raise _outcome(errors)


def _outcome(errors: list[tuple[str, TaskError]]) -> TaskError:
    chosen = next((error for _, error in errors if error.retryable), errors[0][1])
    if len(errors) == 1:
        return chosen
    said = "; ".join(f"{name}: {shorten(e.message, _SAID, placeholder=' …')}" for name, e in errors)
    if isinstance(chosen, Retryable):
        return Retryable(said, code=chosen.code, after=chosen.after)
    return Permanent(said, code=chosen.code)
