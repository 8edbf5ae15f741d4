"""``dead``: what was not run to its end: list, show, replay, discard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from menos_bus.cli.output import (
    fail,
    json_option,
    need_ledger,
    print_json,
    print_table,
    says_errors,
)
from menos_bus.errors import BusError, BusUnavailable, UnknownTaskId

if TYPE_CHECKING:
    from menos_bus.messages.dead_letters import DeadLetter, DeadLetters, Which

_AGO: Final = re.compile(r"(\d+)\s*([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    if ago := _AGO.fullmatch(value):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        since = datetime.fromisoformat(value)
    except ValueError:
        wanted = "30m, 2h, 1d or a time such as 2026-01-31T12:00"
        raise click.BadParameter(f"{value!r}: write {wanted}") from None
    return since if since.tzinfo else since.astimezone()


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--since", callback=_since, help="Not older than 30m, 2h, 1d, or a time."),
        click.option("--task", help="Only calls of this task."),
        click.option("--queue", help="Only those of this plugin's queue."),
    ):
        command = option(command)
    return command


@click.group()
def dead() -> None:
    """Look at the dead letters, and deal with them: what failed, and what was no call at all."""


@dead.command("list")
@_filters
@json_option
@says_errors
def list_(queue: str | None, task: str | None, since: datetime | None, as_json: bool) -> None:
    """List the dead letters, the latest first."""
    letters = _dead_letters().find(_which(queue=queue, task=task, since=since))
    if as_json:
        print_json([letter.as_json() for letter in letters])
        return
    if not letters:
        click.echo("No dead letters.")
        return
    print_table(
        ["id", "died at", "queue", "task", "code", "reason"],
        [
            [
                letter.id,
                letter.death.died_at,
                letter.death.queue,
                letter.death.task or "?",
                letter.death.code,
                letter.death.reason[:80],
            ]
            for letter in letters
        ],
    )


@dead.command()
@click.argument("id")
@json_option
@says_errors
def show(id: str, as_json: bool) -> None:
    """Show one dead letter, with its message."""
    letters = _dead_letters().find(_which(ids=frozenset({id})))
    _need([id], [letter.id for letter in letters])
    if as_json:
        print_json(letters[0].as_json())
        return
    for name, value in letters[0].as_json().items():
        click.echo(f"{name:10} {value if value is not None else '-'}")


@dead.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that the options leave.")
@_filters
@json_option
@says_errors
def replay(ids: tuple[str, ...], everything: bool, as_json: bool, **filters: Any) -> None:
    """Run dead letters again, under their ids; each counts its rounds."""
    letters = _dead_letters().replay(_meant(ids, everything, filters))
    _deal(letters, ids, "replayed", as_json=as_json)


@dead.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that the options leave.")
@_filters
@json_option
@says_errors
def discard(ids: tuple[str, ...], everything: bool, as_json: bool, **filters: Any) -> None:
    """Delete dead letters for good; the stored outcomes of their calls stay."""
    letters = _dead_letters().discard(_meant(ids, everything, filters))
    _deal(letters, ids, "discarded", as_json=as_json)


def _dead_letters() -> DeadLetters:
    from menos_bus.bus import Bus
    from menos_bus.messages.dead_letters import dead_letters

    bus = Bus()
    need_ledger(bus)
    return dead_letters(bus.app)


def _which(**filters: Any) -> Which:
    from menos_bus.messages.dead_letters import Which

    return Which(**filters)


def _meant(ids: tuple[str, ...], everything: bool, filters: dict[str, Any]) -> Which:
    if bool(ids) == everything:
        raise click.UsageError("name the letters by their ids, or say --all")
    return _which(ids=frozenset(ids), **filters)


def _deal(letters: Iterator[DeadLetter], ids: tuple[str, ...], done: str, *, as_json: bool) -> None:
    """Go through with it, and tell what was done, also when an error ends it."""
    dealt: list[str] = []
    try:
        for letter in letters:
            dealt.append(letter.id)
            if not as_json:
                click.echo(f"{letter.id} {done}")
        _need(ids, dealt)
    except BusError as error:
        if dealt and isinstance(error, BusUnavailable):
            said = f"{len(dealt)} {done}, then {error.message}; the others are dead letters still"
            error = BusUnavailable(said)
        fail(error, as_json=as_json, told={done: dealt})
    if as_json:
        print_json({done: dealt})
    elif not dealt:
        click.echo("No dead letters.")


def _need(ids: Iterable[str], found: Iterable[str]) -> None:
    if missing := sorted({*ids} - {*found}):
        raise UnknownTaskId(f"no dead letter has the id {', '.join(missing)}")
