"""What one call keeps of the list that it ingests, so that nothing is asked for twice.

A list is found in steps that cost quota, and the call may have to wait between two of them, or die.
So each answer is archived under the call's id before it is read, and never asked for again by that
call: a long list is asked for in slices, so that other calls get their turn and no time limit is
met; and the finished list is kept, so that each look at the videos under way sees the same one.
When the call has ended, none of this is of use any more, and it is deleted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from menos_bus import Deferred, progress
from menos_vault import ObjectNotFound, Vault
from menos_youtube.collection import Collection, Video
from menos_youtube.errors import named
from menos_youtube.foreign import object_in

_COLLECTION: Final = "collection.json"
_SLICE: Final = 60.0
"""Seconds after which nothing more is asked for until the call is taken up again."""


class ListArchive:
    """The objects of one call.

    Args:
        call_id: the call's task id.
        vault: keeps them.
    """

    def __init__(self, call_id: str, vault: Vault) -> None:
        self._call_id = call_id
        self._objects = vault.objects
        self._began = time.monotonic()
        self._asked = False
        self._progress: tuple[str, int, int | None] | None = None

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Tell those who look how far it is, also while the call is put back."""
        self._progress = (stage, done, total)
        progress(*self._progress)

    def answer(self, name: str, ask: Callable[[], bytes]) -> dict[str, Any]:
        """An answer, asked for once and archived as it came.

        Raises:
            Deferred: ``listing``; time is up, and the call goes on here when it is taken up again.
            Retryable: ``youtube_error``; it is no JSON object, and is asked for again then.
        """
        found = object_in(self._kept(name) or b"")
        if found is None:
            self._give_way()
            raw = ask()
            self._objects.put(self._key(name), raw)
            found = object_in(raw)
        if found is None:
            raise named("ValueError", "no JSON object")
        return found

    def once(self, name: str, find: Callable[[], list[str]]) -> list[str]:
        """What a call has found out itself, the same each time it goes on."""
        if (kept := self._kept(name)) is not None:
            return list(json.loads(kept))
        found = find()
        self._objects.put(self._key(name), json.dumps(found).encode())
        return found

    def collection(self, find: Callable[[], Collection]) -> Collection:
        """The finished list, found once."""
        if (kept := self._kept(_COLLECTION)) is not None:
            known = json.loads(kept)["collection"]
            return Collection(**known | {"videos": [Video(**video) for video in known["videos"]]})
        collection = find()
        found = json.dumps({"collection": asdict(collection)})
        self._objects.put(self._key(_COLLECTION), found.encode())
        return collection

    def delete(self) -> None:
        """Delete all of it, once the call has ended."""
        for key in self._objects.keys(self._key("").rstrip("/")):
            self._objects.delete(key)

    def _give_way(self) -> None:
        if self._asked and time.monotonic() - self._began > _SLICE:
            raise Deferred(
                "the list is long: it goes on in a moment",
                "listing",
                after=1,
                progress=self._progress,
            )
        self._asked = True

    def _kept(self, name: str) -> bytes | None:
        try:
            return self._objects.get(self._key(name))
        except ObjectNotFound:
            return None

    def _key(self, name: str) -> str:
        return f"youtube/lists/{self._call_id}/{name}"
