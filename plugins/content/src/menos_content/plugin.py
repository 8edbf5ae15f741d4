"""The hooks of the plugin ``content``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from menos_bus import Check, hookimpl
from menos_content.failed_lines import FailedLines
from menos_content.settings import ContentSettings
from menos_content.tasks import process_content, store_content
from menos_content.vault_tasks import (
    delete_content,
    export_content,
    import_content,
    list_content,
    reindex_content,
    show_content,
    vault_stats,
)
from menos_vault import InvalidSettings, open_vault, why_one_process

if TYPE_CHECKING:
    import click


@hookimpl
def register_settings(register: Callable[[type], None]) -> None:
    """Declare :class:`ContentSettings`."""
    register(ContentSettings)


WRITING: Final = (store_content, process_content, delete_content, import_content, reindex_content)
READING: Final = (list_content, show_content, vault_stats, export_content)


@hookimpl
def register_tasks(register: Callable[..., None]) -> None:
    """Declare ``tasks.store_content``, ``tasks.process_content`` and those for the vault."""
    for function in (*WRITING, *READING):
        register(
            function,
            name=f"tasks.{function.__name__}",
            dead_letter=function not in READING,
            one_process={"the vault": why_one_process},
        )


class VaultCommand:
    """``menos-bus vault``."""

    name = "vault"

    def load(self) -> click.Command:
        """Import the group."""
        from menos_content.cli import vault

        return vault


@hookimpl
def register_extensions(register: Callable[[str, object], None]) -> None:
    """Add the command ``menos-bus vault``."""
    register("bus.command", VaultCommand())


@hookimpl
def task_finished(task: str, task_id: str) -> None:
    """Delete what an import kept of the lines that failed."""
    if task == "tasks.import_content":
        FailedLines(task_id, open_vault()).delete()


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
