"""The hooks of the plugin ``search``.

The vault's condition is reported by the plugin ``content``.
"""

from __future__ import annotations

from collections.abc import Callable

from menos_bus import hookimpl
from menos_search.tasks import semantic_search, similar_content
from menos_vault import why_one_process


@hookimpl
def register_tasks(register: Callable[..., None]) -> None:
    """Declare ``tasks.semantic_search`` and ``tasks.similar_content``."""
    for function in (semantic_search, similar_content):
        register(
            function,
            name=f"tasks.{function.__name__}",
            dead_letter=False,
            one_process={"the vault": why_one_process},
        )
