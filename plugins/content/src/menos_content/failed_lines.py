"""What one import keeps of the lines that failed for good, so that it tries none of them again.

A call that is put back, or tried again, runs from its start, and skips what it has done. A line
that failed has nothing to show for it: it would be tried each time, and some that take long, such
as texts of which a model makes no summary, would let no slice get to the lines after them. So each
failure is archived under the call's id. When the call has ended, none of this is of use any more,
and it is deleted: a call that failed as a whole and is taken up again tries them all.
"""

from __future__ import annotations

import json
from typing import Final

from menos_content.process import Failed
from menos_vault import Vault

_FOLDER: Final = "content/imports"


class FailedLines:
    """The objects of one call.

    Args:
        call_id: the call's task id; ``None`` where it is called as plain Python, and nothing of it
            is kept.
        vault: keeps them.
    """

    def __init__(self, call_id: str | None, vault: Vault) -> None:
        self._folder = None if call_id is None else f"{_FOLDER}/{call_id}"
        self._objects = vault.objects

    def read(self) -> dict[str, list[Failed]]:
        """What is kept: a line's digest → what failed of it."""
        return {key.rpartition("/")[2]: json.loads(self._objects.get(key)) for key in self._keys()}

    def keep(self, digest: str, failed: list[Failed]) -> None:
        """Keep what failed of a line."""
        if self._folder is not None:
            self._objects.put(f"{self._folder}/{digest}", json.dumps(failed).encode())

    def delete(self) -> None:
        """Delete all of it, once the call has ended."""
        for key in self._keys():
            self._objects.delete(key)

    def _keys(self) -> list[str]:
        return [] if self._folder is None else self._objects.keys(self._folder)
