"""menos-bus plugin: a YouTube video's transcript and metadata into the vault.

``menos_youtube.plugin`` holds the hooks, ``menos_youtube.tasks`` what callers see. Both import
nothing heavy. The names here are for plugins that add a transcript source.
"""

from menos_youtube.segments import Segment
from menos_youtube.sources import Transcript, TranscriptSource, Wanted

__version__ = "0.1.0"

__all__ = ["Segment", "Transcript", "TranscriptSource", "Wanted", "__version__"]
