"""``plugins``, ``tasks``, ``queues``, ``doctor``, ``version``: what there is and how it is."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from menos_bus.bus import Bus
from menos_bus.cli.output import (
    ask_running,
    json_option,
    need_ledger,
    print_json,
    print_table,
    says_errors,
)
from menos_bus.tasks.register import TaskSpec
from menos_bus.version import VERSION


@click.command()
@json_option
@says_errors
def plugins(as_json: bool) -> None:
    """List the installed plugins, what became of each, and why."""
    found = Bus().plugins
    if as_json:
        print_json([plugin.as_json() for plugin in found])
    elif not found:
        click.echo("No plugins are installed: pip install menos-content menos-search")
    else:
        print_table(
            ("plugin", "state", "version", "tasks", "reason"),
            [(p.name, p.state, p.version, "\n".join(p.tasks), p.reason) for p in found],
        )


@click.command()
@click.argument("name", required=False)
@json_option
@says_errors
def tasks(name: str | None, as_json: bool) -> None:
    """List the tasks that can be called; with a NAME, show its parameters."""
    registry = Bus().registry
    chosen = [registry[name]] if name else list(registry.values())
    if as_json:
        print_json([spec.as_json() for spec in chosen])
    elif name:
        _show(chosen[0])
    elif chosen:
        print_table(
            ("task", "queue", "what it does"),
            [(spec.name, spec.queue, spec.summary) for spec in chosen],
        )
    else:
        click.echo("No task is there: `menos-bus plugins` says why")


def _show(spec: TaskSpec) -> None:
    from menos_bus.cli import parameters

    schema = spec.signature.parameters_schema
    click.echo(f"{spec.name}   (queue {spec.queue})\n\n{spec.description}\n")
    print_table(
        ("parameter", "type", "default", "description"),
        [
            (
                key,
                parameters.type_of(field),
                "required" if key in schema.get("required", []) else repr(field.get("default")),
                parameters.description(field),
            )
            for key, field in parameters.of(spec).items()
        ],
    )


@click.command()
@json_option
@says_errors
def queues(as_json: bool) -> None:
    """Show how many calls wait and run in each queue, or on a fleet how many workers serve it.

    Without a running bus: those that wait for its next start.
    """
    from menos_bus.doors.client import queues as ask

    bus = Bus()
    need_ledger(bus)
    depths = ask(bus, ask_running(bus, "these calls wait there for its next start"))
    if as_json:
        print_json(depths)
    else:
        known = "running" if bus.settings.embedded else "workers"
        print_table(
            ("queue", "waiting", known),
            [(q["name"], str(q["messages"]), str(q.get(known, "-"))) for q in depths],
        )


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check everything, and say what to do about each problem; exit code 1 if there is one."""
    from menos_bus.doctor import diagnose

    checks = list(diagnose())
    problems = [check for check in checks if not check.ok]
    if as_json:
        print_json({"ok": not problems, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            mark, colour = ("✓", "green") if check.ok else ("✗", "red")
            click.echo(f"{click.style(mark, fg=colour)} {check.name}: {check.message}")
            if not check.ok and check.fix:
                click.echo(f"    → {check.fix}")
        click.echo(
            f"\n{len(problems)} problem{'s' if len(problems) != 1 else ''}"
            if problems
            else "\nEverything is fine."
        )
    sys.exit(1 if problems else 0)


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the versions of menos-bus, Python and Celery."""
    import platform
    from importlib.metadata import version as version_of

    versions = {
        "menos-bus": VERSION,
        "celery": version_of("celery"),
        "python": platform.python_version(),
    }
    if as_json:
        print_json(versions)
    else:
        click.echo("\n".join(f"{name} {number}" for name, number in versions.items()))
