"""Which calls have stored a content: one that runs again does not store it again.

What stands there by then may be newer, or it was deleted.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from menos_vault.models import Content
from menos_vault.records import Records


def digest_of(stores: Mapping[str, Any]) -> str:
    """Return the same for calls, and for parts of one, that store the same."""
    told = json.dumps(stores, sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def call_of(call_id: str | None, digest: str) -> str | None:
    """Name a call, for `stored_by`, by its id and the digest of what it stores.

    A call that is tried again, or goes on, keeps its name. The id alone would not do: once its
    result has expired, it may be given to a call that stores something else. None without an id.
    """
    return None if call_id is None else f"{call_id} {digest}"


def stored_before(
    records: Records, calls: Mapping[str, str | None], stored: Mapping[str, Content]
) -> set[str]:
    """Return which contents were stored before by the calls that are to store them now.

    `calls` has by content id what `call_of` says, `stored` the contents as they are stored.
    """
    found = {each for each in calls if each in stored and calls[each] in stored[each].stored_by}
    others = {each for each, call in calls.items() if call is not None} - found
    deleted = records.deleted_stores(sorted(others))
    return found | {each for each in others if calls[each] in deleted.get(each, ())}
