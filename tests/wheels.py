"""Build the wheel of every package into a folder: ``python tests/wheels.py dist``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["core", "vault", "plugins/youtube", "plugins/content", "plugins/search"]


def build(folder: Path, packages: list[str] | None = None) -> list[Path]:
    """Build these packages, all by default, and return their wheels."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages or PACKAGES:
        subprocess.run(
            ["uv", "build", "--quiet", "--wheel", "--out-dir", folder.resolve(), ROOT / package],
            check=True,
        )
    return sorted(folder.glob("*.whl"))


if __name__ == "__main__":
    for wheel in build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")):
        print(wheel)
