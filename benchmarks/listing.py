"""How long ``menos-bus plugins`` takes beyond ``python -c "import celery"``.

    .venv/bin/python benchmarks/listing.py

Target: under 0.5 s more, whatever is installed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 7
BIN = Path(sys.executable).parent
COMMANDS = {
    "import celery": [sys.executable, "-c", "import celery"],
    "menos-bus plugins": [BIN / "menos-bus", "plugins"],
}


def seconds(command: list[str | Path]) -> float:
    """The median of several runs; the first one, which may compile, does not count."""
    taken = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    base, listing = (seconds(command) for command in COMMANDS.values())
    print(f"import celery      {base:.3f} s")
    print(f"menos-bus plugins  {listing:.3f} s")
    print(f"difference         {listing - base:.3f} s")
