"""menos-bus plugin: a YouTube video's transcript and metadata into the vault.

``menos_youtube.plugin`` holds the hooks, ``menos_youtube.tasks`` what callers see. Both import
nothing heavy.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
