"""Commands that plugins add to ``menos-bus``, and what those are made of.

A plugin registers an object at the point ``bus.command``; see the hook ``register_extensions``.
Its ``name`` is the command's; its ``load()`` returns a click command, and is called when that is
needed. Such a command works as the others do: it calls tasks with :func:`call_task`, prints with
:func:`print_json` and :func:`print_table`, and is wrapped in :func:`says_errors`.
"""

from __future__ import annotations

import sys
from typing import Any, Final, Protocol

import click

from menos_bus.bus import Bus
from menos_bus.cli.call import follow
from menos_bus.cli.output import (
    json_option,
    print_failure,
    print_json,
    print_table,
    says_errors,
)
from menos_bus.plugins.loader import State

__all__ = ["Command", "call_task", "json_option", "print_json", "print_table", "says_errors"]

POINT: Final = "bus.command"


class Command(Protocol):
    """What is registered at ``bus.command``."""

    @property
    def name(self) -> str:
        """The command's name, which none of the bus's own has."""
        ...

    def load(self) -> click.Command:
        """Import and return the command."""
        ...


def find_commands(ctx: click.Context) -> dict[str, Command]:
    """The commands of the loaded plugins by name.

    The bus that has them stays with the context, for the command that is called.

    Raises:
        SettingsError: a core setting is wrong.
    """
    return ctx.ensure_object(Bus).extensions.at(POINT)


def not_loaded(bus: Bus) -> str:
    """Which plugins are not loaded, so that what they bring is missing; empty if all are."""
    missing = [plugin for plugin in bus.plugins if plugin.state != State.LOADED]
    return ", ".join(f"{plugin.name} ({plugin.state})" for plugin in missing)


def call_task(name: str, **kwargs: Any) -> Any:
    """Submit a task and follow it, with a progress bar in a terminal.

    Returns:
        Its result. If it fails, the command says why and ends with exit code 1.

    Raises:
        CallError: nothing was queued; the subclass says why.
    """
    from menos_bus.doors.client import submit

    bus = click.get_current_context().ensure_object(Bus)
    outcome = follow(bus, submit(bus, name, [], kwargs), None)
    if outcome.state != "SUCCESS":
        print_failure(outcome)
        sys.exit(1)
    return outcome.result
