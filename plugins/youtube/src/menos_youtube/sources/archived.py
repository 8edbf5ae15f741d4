"""The transcript that a video's record has already, made again from what is archived."""

from __future__ import annotations

from typing import Final

from menos_vault import Content
from menos_youtube import archive
from menos_youtube.archive import Archive
from menos_youtube.caption_text import parse_caption_text
from menos_youtube.sources import Transcript
from menos_youtube.sources.supplied import SOURCE as CALLER

_READABLE: Final = (archive.CAPTIONS, archive.YT_DLP_CAPTIONS, archive.SUPPLIED)
"""What we can read ourselves; other plugins' sources archive what they like."""


def read_archived(content: Content, stored: Archive) -> Transcript | None:
    """Make a record's transcript again, without any request.

    Returns:
        It; ``None`` if the archive has nothing to make it from.
    """
    raw_key = content.objects.get("transcript", "")
    source = str(content.metadata.get("transcript_source"))
    readable = raw_key in map(stored.key, _READABLE)
    if readable and (raw := stored.get(raw_key)) is not None:
        text, segments = parse_caption_text(raw.decode(errors="replace"))
        if text:
            return Transcript(text, segments, content.language, source, raw_key)
    if source == CALLER and (raw := stored.get(content.objects.get("text", raw_key))) is not None:
        # Nobody can be asked for it again: better without its times than without it.
        return Transcript(raw.decode(errors="replace"), None, content.language, source, raw_key)
    return None
