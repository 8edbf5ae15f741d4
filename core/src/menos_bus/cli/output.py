"""How commands print: tables for people, ``--json`` for programs, errors with exit code 2."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

from menos_bus.errors import BusError, TaskFailed

if TYPE_CHECKING:
    from menos_bus.bus import Bus
    from menos_bus.doors.running import Address
    from menos_bus.outcomes.outcome import Outcome

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:
    """Write a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows as a table, as wide as the terminal; lines are folded, never cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # Into a file or pipe nothing needs to be folded.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def fail(error: BusError, *, as_json: bool, told: Mapping[str, Any] | None = None) -> NoReturn:
    """End the command with a message and exit code 2.

    Args:
        error: why.
        as_json: whether it is read by a program.
        told: what a program is told besides the error.
    """
    if as_json:
        # On one line, so that a reader of `up --json` needs just one read.
        said = {"code": error.code, "message": error.message}
        click.echo(json.dumps({**(told or {}), "error": said}))
    _say("Error", error.message)
    sys.exit(2)


def print_failure(outcome: Outcome) -> None:
    """Say on standard error why a call failed, or is being tried again."""
    if outcome.error is not None:
        _say(outcome.state, str(TaskFailed(**outcome.error)))


def _say(what: str, why: str) -> None:
    click.secho(f"{what}: ", fg="red", bold=True, nl=False, err=True)
    click.echo(why, err=True)


def ask_running(bus: Bus, otherwise: str) -> Address | None:
    """The embedded bus that runs on the data folder, which knows best.

    Without one it says so on standard error, and ``otherwise``, what is shown instead. In a fleet
    there is none, and nothing to say.
    """
    from menos_bus.doors.running import find_running

    if not bus.settings.embedded:
        return None
    address = find_running(bus.settings.home)
    if address is None:
        click.echo(
            f"No bus is running on the data folder {bus.settings.home.resolve()} (`menos-bus up` "
            f"starts one, MENOS_HOME names another folder): {otherwise}",
            err=True,
        )
    return address


def need_ledger(bus: Bus) -> None:
    """See that calls can be known here, and make no data folder just to find none.

    Raises:
        BusUnavailable: no bus was ever run on the data folder; it may be the wrong one.
        SettingsError: the folder is another user's.
    """
    from menos_bus.doors.client import running
    from menos_bus.doors.running import find_running
    from menos_bus.outcomes.sqlite import FILE as LEDGER

    if not bus.settings.embedded or find_running(bus.settings.home) is not None:
        return
    if not (bus.settings.home / LEDGER).exists():
        running(bus)


def says_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn a :class:`BusError` into a message and exit code 2, never a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except BusError as error:
            words = kwargs.get("rest")  # of `call`, which reads them only when it knows the task
            as_json = isinstance(words, tuple) and "--json" in words
            fail(error, as_json=as_json or bool(kwargs.get("as_json")))

    return run
