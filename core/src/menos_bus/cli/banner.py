"""What ``menos-bus up`` shows when the bus is ready: where it is, how to get in, what to paste."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from menos_bus.bus import Bus
from menos_bus.doors.openapi import example_of
from menos_bus.doors.running import Address
from menos_bus.doors.serving import INSTALL
from menos_bus.plugins.loader import State
from menos_bus.tasks.register import TaskSpec

_MARKS: Final = {State.LOADED: ("✓", "green"), State.DISABLED: ("-", "yellow")}


def print_banner(bus: Bus, address: Address, *, as_json: bool) -> None:
    """Print the URL, the credentials, the plugins and a call that works when pasted."""
    if as_json:
        click.echo(json.dumps({**asdict(address), "tasks": list(bus.registry)}))
        return
    click.secho("menos-bus is up", fg="green", bold=True)
    operator = f"{address.user}:{address.password}"
    callers = f"{address.caller_user}:{address.caller_password}"
    width = max(len(operator), len(callers))
    click.echo(f"  Flower    {address.url}")
    click.echo(f"  HTTP API  {_api(address)}")
    click.echo(f"  operator  {operator:<{width}}  may do everything")
    click.echo(f"  callers   {callers:<{width}}  submit tasks and read results: n8n, curl")
    click.echo(f"  data      {bus.settings.home.resolve()}")
    for plugin in bus.plugins:
        mark, colour = _MARKS.get(plugin.state, ("✗", "red"))
        said = ", ".join(plugin.tasks) if plugin.state is State.LOADED else str(plugin.state)
        reason = f": {plugin.reason}" if plugin.reason else ""
        click.echo(f"  {click.style(mark, fg=colour)} {plugin.name:<8} {said}{reason}")
    if not bus.plugins:
        click.echo("  no plugins yet: pip install menos-content menos-search, then start again")
    if (example := example_call(bus)) is not None:
        name, arguments = example
        click.secho("\nSubmit a task, and wait for its result:", bold=True)
        click.echo(
            f"  curl -u {shlex.quote(callers)} {address.url}/api/task/apply/{name} "
            f"-d {shlex.quote(json.dumps({'kwargs': arguments}))}"
        )
        click.secho("or, in another terminal:", bold=True)
        click.echo(" ".join([f"  {_command(bus)} call {name}", *_options(arguments)]))
    click.echo("\nCtrl-C stops the bus; nothing that was accepted is lost.")


def _api(address: Address) -> str:
    if address.api_url is None:
        return f"not installed: {INSTALL}"
    return f"{address.api_url}  (described at /docs)"


def _command(bus: Bus) -> str:
    """How another terminal, opened in this folder, reaches this bus."""
    installed = Path(sys.argv[0]).absolute()
    found = shutil.which("menos-bus")
    # In a virtual environment that is active here it may not be active there.
    known = found is not None and sys.prefix == sys.base_prefix
    command = "menos-bus" if known else shlex.quote(os.path.relpath(installed))
    home = bus.settings.home
    given = "" if home == Path(".menos") else f"MENOS_HOME={shlex.quote(str(home.absolute()))} "
    return given + command


def _options(arguments: dict[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"--{name.replace('_', '-')} {shlex.quote(text)}"


def example_call(bus: Bus) -> tuple[str, dict[str, Any]] | None:
    """A task and arguments for a first try: those that a task's author gives as ``examples``."""
    for spec in sorted(bus.registry.values(), key=_has_examples, reverse=True):
        if (arguments := example_of(spec)) is not None:
            return spec.name, arguments
    return None


def _has_examples(spec: TaskSpec) -> bool:
    schema = spec.signature.parameters_schema
    required = [schema["properties"][name] for name in schema.get("required", ())]
    return bool(required) and all("examples" in field for field in required)
