"""``menos-bus``: the group of all commands, each imported only when it is called."""

from __future__ import annotations

import importlib
from typing import Final

import click

from menos_bus.alike import did_you_mean
from menos_bus.errors import BusError

_COMMANDS: Final = {
    "up": "run",
    "worker": "run",
    "flower": "run",
    "api": "run",
    "call": "call",
    "result": "call",
    "dead": "dead",
    "plugins": "inspect",
    "tasks": "inspect",
    "queues": "inspect",
    "quota": "quota",
    "doctor": "inspect",
    "version": "inspect",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        from menos_bus.cli.plugins import find_commands

        try:
            found = find_commands(ctx)
        except BusError:
            return [*_COMMANDS]  # each of them says what is wrong
        return [*_COMMANDS, *(name for name in found if name not in _COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return _of_plugin(ctx, cmd_name)
        module = importlib.import_module(f"menos_bus.cli.{_COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            command = self.get_command(ctx, args[0])
        except BusError as error:
            from menos_bus.cli.output import fail

            fail(error, as_json="--json" in args)
        if command is None:
            ctx.fail(f"No such command {args[0]!r}{self._hint(ctx, args[0])}")
        return super().resolve_command(ctx, args)

    def _hint(self, ctx: click.Context, name: str) -> str:
        from menos_bus.bus import Bus
        from menos_bus.cli.plugins import not_loaded

        hint = did_you_mean(name, self.list_commands(ctx)) or ": see menos-bus --help"
        if missing := not_loaded(ctx.ensure_object(Bus)):
            hint += f"; not loaded: {missing}, `menos-bus plugins` says why"
        return hint


def _of_plugin(ctx: click.Context, name: str) -> click.Command | None:
    from menos_bus.cli.plugins import find_commands

    found = find_commands(ctx).get(name)
    return None if found is None else found.load()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="menos-bus")
def main() -> None:
    """Run, call and inspect a bus of tasks.

    Settings are environment variables MENOS_…; without any, the bus is one process on this
    machine and keeps its data in .menos.
    """
