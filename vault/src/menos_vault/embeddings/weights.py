"""A reader of safetensors files: a length, a JSON header, raw numbers.

Format: https://huggingface.co/docs/safetensors. Little-endian; offsets count from the header's end.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from menos_vault.errors import ModelCorrupt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LONGEST_HEADER = 100_000_000  # the format's own limit


def read_weights(path: Path, *, mapped: bool) -> "dict[str, NDArray[np.float32]]":
    """Return the file's float32 tensors by name.

    Mapped into memory, processes share them; but if the file is then overwritten in its place, the
    process dies. Raises ModelCorrupt if the file is not what it says.
    """
    import numpy as np

    header, start = _header(path)
    # Writable copies of what is written to, because others cannot be given away.
    raw: NDArray[np.uint8] = (
        np.memmap(path, dtype=np.uint8, mode="c") if mapped else np.fromfile(path, dtype=np.uint8)
    )
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        first, last = entry["data_offsets"]
        flat = raw[start + first : start + last]
        try:
            tensors[name] = flat.view("<f4").reshape(entry["shape"])
        except ValueError as error:
            raise ModelCorrupt(f"tensor {name!r} of {path} is cut off or misplaced") from error
    return tensors


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header(path: Path) -> tuple[dict[str, Any], int]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= _LONGEST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header: dict[str, Any] = json.loads(file.read(length))
            return header, 8 + length
    except (OSError, ValueError) as error:
        raise ModelCorrupt(f"{path} is no readable safetensors file: {error}") from error
