"""The hooks of the plugin ``content``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from menos_bus import Check, hookimpl
from menos_content.settings import ContentSettings
from menos_content.tasks import process_content, store_content
from menos_vault import InvalidSettings, open_vault


@hookimpl
def register_settings(register: Callable[[type], None]) -> None:
    """Declare :class:`ContentSettings`."""
    register(ContentSettings)


@hookimpl
def register_tasks(register: Callable[..., None]) -> None:
    """Declare ``tasks.store_content`` and ``tasks.process_content``."""
    register(store_content, name="tasks.store_content")
    register(process_content, name="tasks.process_content")


@hookimpl
def check_health() -> Iterable[Check]:
    """Report the vault's condition, which all plugins share, and the model that summarises."""
    try:
        vault = open_vault()
    except InvalidSettings as error:
        yield Check("vault.settings", False, str(error), "correct the variable, or unset it")
        return
    for found in vault.health():
        yield Check(f"vault.{found.name}", found.ok, found.message, found.fix)
    if ContentSettings().summaries == "ollama":
        from menos_content.writer import Writer

        found = Writer(vault.settings).health()
        yield Check("content.summaries", found.ok, found.message, found.fix)
