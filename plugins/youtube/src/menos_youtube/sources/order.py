"""Which sources are asked, in which order, and what it means if none has a transcript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Final, cast

from menos_bus import Deferred, Permanent, Retryable
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


def choose(names: Sequence[str], registered: Mapping[str, object]) -> list[TranscriptSource]:
    """The sources of these names.

    Args:
        names: what the setting says.
        registered: those that plugins have registered, by name; they come before ours.

    Raises:
        Permanent: ``source_unavailable``; there is none of a name, or it is no source.
    """
    known: dict[str, object] = {**_OURS, **registered}
    chosen = []
    for name in names:
        if name not in known:
            raise no_source(
                f"MENOS_YOUTUBE_SOURCES names {name!r}, which is no transcript source: correct it "
                f"(known are {', '.join(sorted(known))}), or install the plugin that has it"
            )
        source = known[name]
        if not callable(getattr(source, "fetch", None)):
            raise no_source(
                f"MENOS_YOUTUBE_SOURCES names {name!r}, which is no transcript source: what is "
                f"registered at {POINT} needs a method `fetch`"
            )
        chosen.append(cast(TranscriptSource, source))
    return chosen


def check(sources: Sequence[TranscriptSource]) -> None:
    """See that what the sources need is installed.

    Raises:
        Permanent: ``source_unavailable``; something is not.
    """
    for source in sources:
        if isinstance(source, YtDlp):
            source.check()


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
