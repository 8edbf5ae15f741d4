"""What one call keeps of the list that it ingests, so that nothing is asked for twice.

A list is found in steps that cost quota, and the call may have to wait between two of them, or die.
So each answer is archived under the call's id before it is read, and never asked for again by that
call; and the finished list is kept, so that each look at the videos under way sees the same one.
When the call has ended, none of this is of use any more, and it is deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from menos_vault import Vault
from menos_youtube.collection import Collection, Video
from menos_youtube.errors import named
from menos_youtube.foreign import as_object, is_object

_COLLECTION: Final = "collection.json"


class ListArchive:
    """The objects of one call.

    Args:
        call_id: the call's task id.
        vault: keeps them.
    """

    def __init__(self, call_id: str, vault: Vault) -> None:
        self._call_id = call_id
        self._objects = vault.objects
        self._answers: list[str] = []

    def answer(self, name: str, ask: Callable[[], bytes]) -> dict[str, Any]:
        """An answer, asked for once and archived as it came.

        Raises:
            Retryable: ``youtube_error``; it is no JSON object, and is asked for again then.
        """
        key = self._key(name)
        self._answers.append(name)
        raw = self._objects.get(key) if self._objects.exists(key) else b""
        if not is_object(raw):
            raw = ask()
            self._objects.put(key, raw)
        if not is_object(raw):
            raise named("ValueError", "no JSON object")
        return as_object(raw)

    def collection(self, find: Callable[[], Collection]) -> Collection:
        """The finished list, found once."""
        key = self._key(_COLLECTION)
        if self._objects.exists(key):
            kept = json.loads(self._objects.get(key))["collection"]
            return Collection(**kept | {"videos": [Video(**video) for video in kept["videos"]]})
        collection = find()
        kept = {"collection": asdict(collection), "answers": self._answers}
        self._objects.put(key, json.dumps(kept).encode())
        return collection

    def delete(self) -> None:
        """Delete all of it, once the call has ended."""
        key = self._key(_COLLECTION)
        if self._objects.exists(key):
            answers = json.loads(self._objects.get(key))["answers"]
            # The list last: it names the others, should this be cut off.
            for name in (*answers, _COLLECTION):
                self._objects.delete(self._key(name))

    def _key(self, name: str) -> str:
        return f"youtube/lists/{self._call_id}/{name}"
