"""Where a folder that is not there yet would be made."""

from pathlib import Path


def nearest_existing(path: Path) -> Path:
    """Return the path itself or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())
