"""``quota``: what was used of each quota today, how long the rest lasts, when it resets."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

import click

from menos_bus.bus import Bus
from menos_bus.cli.output import ask_running, json_option, print_json, says_errors
from menos_bus.quota.status import Status

_WIDTH: Final = 30
"""Characters of a bar."""


@click.command()
@click.argument("name", required=False)
@click.option(
    "--reopen",
    is_flag=True,
    help="First take back that the service calls the quota NAME spent: a new key was set, or the "
    "limit was raised there.",
)
@json_option
@says_errors
def quota(name: str | None, reopen: bool, as_json: bool) -> None:
    """Show how the quotas are, or the one with this NAME.

    A bus that runs is asked, since its limits count.
    """
    from menos_bus.cli.plugins import not_loaded
    from menos_bus.doors.client import quotas, reopen_quota

    if reopen and name is None:
        raise click.UsageError("--reopen needs the NAME of a quota")
    bus = Bus()
    address = ask_running(bus, "these are the limits of the settings here")
    if reopen and name is not None:
        reopen_quota(bus, address, name)
    found = quotas(bus, address, name)
    if as_json:
        shown = [status.as_json() for status in found]
        print_json(shown[0] if name else shown)
    elif not found:
        hint = f" (not loaded: {missing})" if (missing := not_loaded(bus)) else ""
        click.echo(f"No loaded plugin declares a quota{hint}")
    else:
        _print(found)


def _print(found: list[Status]) -> None:
    width = max(len(status.quota.name) for status in found)
    for status in found:
        name = click.style(status.quota.name.ljust(width), bold=True)
        click.echo(f"{name}  {_bar(status)}  {_counts(status)}")
        for told in _tell(status):
            click.echo(f"  {told}")


def _bar(status: Status) -> str:
    """Used, free, and kept for priority calls; blank without a limit."""
    limit, reserve = status.quota.limit, status.quota.reserve
    if limit is None:
        return " " * _WIDTH
    left = status.remaining_without_priority
    full = not limit or status.closed is not None
    used = _WIDTH if full else min(_WIDTH, math.ceil(_WIDTH * status.used / limit))
    kept = min(_WIDTH - used, math.ceil(_WIDTH * reserve / limit) if limit else 0)
    colour = "red" if not left else "yellow" if left < limit / 4 else "green"
    free = "░" * (_WIDTH - used - kept)
    return click.style("█" * used, fg=colour) + free + click.style("▒" * kept, fg="blue")


def _counts(status: Status) -> str:
    quota = status.quota
    if quota.limit is None:
        return f"{status.used:,} uses today"
    kept = f", {quota.reserve:,} kept for priority (▒)" if quota.reserve else ""
    return f"{status.percentage:5.1f} %  {status.used:,} of {quota.limit:,} units{kept}"


def _tell(status: Status) -> list[str]:
    quota = status.quota
    lines = []
    if status.closed is not None:
        lines.append(f"closed by the service: {status.closed}")
    if quota.limit is not None:
        resets = status.day.resets_at
        lines.append(f"resets {resets:%Y-%m-%d %H:%M} UTC, {_until(resets, status.now)}")
        lines.append(_forecast(status))
    if quota.rate is not None:
        lines.append(f"at most {quota.rate:g} a second")
    return lines


def _forecast(status: Status) -> str:
    if status.remaining_without_priority == 0:
        then = "wait" if status.quota.policy == "wait" else "fail"
        if status.remaining:
            return f"only priority calls can go on; others {then} until the reset"
        return f"nothing is left: priority calls wait until the reset, others {then}"
    until = status.lasts_until
    if until is None:
        return "at today's pace it lasts beyond the reset"
    return f"at today's pace it lasts until {until:%H:%M} UTC, {_until(until, status.now)}"


def _until(moment: datetime, now: float) -> str:
    minutes = max(0, round((moment.timestamp() - now) / 60))
    hours, minutes = divmod(minutes, 60)
    return f"in {hours} h {minutes} min" if hours else f"in {minutes} min"
