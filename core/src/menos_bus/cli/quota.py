"""``quota``: what was used of each quota today, how long the rest lasts, when it resets."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from menos_bus.bus import Bus
from menos_bus.cli.output import json_option, print_json, says_errors
from menos_bus.quota.status import Status


@click.command()
@click.argument("name", required=False)
@json_option
@says_errors
def quota(name: str | None, as_json: bool) -> None:
    """Show how the quotas are, or the one with this NAME."""
    bus = Bus()
    found = [bus.quota(each) for each in ([name] if name else bus.quotas)]
    if as_json:
        shown = [status.as_json() for status in found]
        print_json(shown[0] if name else shown)
    elif not found:
        click.echo("No loaded plugin declares a quota")
    else:
        _print(found)


def _print(found: list[Status]) -> None:
    from rich.console import Console
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    for status in found:
        line = Table.grid(padding=(0, 2))
        line.add_column(style="bold")
        line.add_column(width=30)
        line.add_column(justify="right")
        line.add_column()
        limit = status.quota.limit
        if limit is None:
            line.add_row(Text(status.quota.name), "", "", f"{status.used:,} uses today")
        else:
            left = status.remaining_without_priority
            colour = "red" if not left else "yellow" if (status.percentage or 0) > 75 else "green"
            bar = ProgressBar(
                total=max(1, limit),
                completed=min(status.used, limit) if limit else 1,
                complete_style=colour,
                finished_style=colour,
            )
            kept = f", {status.quota.reserve:,} kept for priority" if status.quota.reserve else ""
            line.add_row(
                Text(status.quota.name),
                bar,
                f"{status.percentage} %",
                f"{status.used:,} of {limit:,} units{kept}",
            )
        console.print(line)
        for told in _tell(status):
            console.print(Text(f"  {told}"))


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
