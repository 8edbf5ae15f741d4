"""``call`` and ``result``: submit a task and follow it."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from menos_bus.bus import Bus
from menos_bus.cli import parameters
from menos_bus.cli.output import json_option, print_failure, print_json, says_errors
from menos_bus.cli.parameters import takes
from menos_bus.errors import FieldProblem, InvalidCall, TaskFailed, UnknownTaskId
from menos_bus.tasks.register import TaskSpec

if TYPE_CHECKING:
    from menos_bus.outcomes.outcome import Outcome

_OWN_OPTIONS: Final = frozenset(
    {"callback_url", "priority", "idempotency_key", "no_wait", "wait", "json", "help"}
)
"""What the command itself takes; a parameter of such a name is given by its position."""


_YES_OR_NO: Final = frozenset(
    {"true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0", "null"}
)
"""What is the value of a parameter that is true or false, in letters of any size."""


class _YesOrNo(click.Option):
    """An option that may stand without its value, ``true`` or ``false``: it is true then."""


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("task", required=False)
@click.argument("rest", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
@says_errors
def call(ctx: click.Context, task: str | None, rest: tuple[str, ...]) -> None:
    """Submit a task, wait for it and print its result as JSON.

    menos-bus call TASK [VALUE]... [--PARAMETER VALUE]...

    A parameter that is true or false needs no VALUE to be true. A value @FILE is the text of a
    file, @- that of standard input; lists and objects are written as JSON. `menos-bus call TASK
    --help` shows the task's parameters, and the options that every call has: --no-wait, --wait,
    --json, --priority, --callback-url, --idempotency-key.
    """
    if task is None or task in ("-h", "--help"):
        click.echo(ctx.get_help())
        ctx.exit(0 if task else 2)
    if task.startswith("-"):
        raise InvalidCall([FieldProblem(task, "options come after the task: call TASK --option")])
    bus = Bus()
    command = _command(bus, bus.registry[task])
    command.main(args=_spelled_out(rest, command), prog_name=f"menos-bus call {task}")


@click.command()
@click.argument("task_id")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(min=0),
    help="Wait up to so many seconds for the end.",
)
@json_option
@says_errors
def result(task_id: str, seconds: float | None, as_json: bool) -> None:
    """Show what is known of a call: its state, progress, result or error."""
    bus = Bus()
    if bus.settings.embedded and not os.path.exists(bus.settings.home):
        raise UnknownTaskId(f"no call is known here: {bus.settings.home} does not exist")
    outcome = follow(bus, task_id, seconds or 0.0)
    if as_json:
        print_json(outcome.as_json())
        return
    click.secho(outcome.state, bold=True)
    if outcome.progress:
        click.echo(_progress_line(outcome.progress))
    if outcome.error:
        click.echo(TaskFailed(**outcome.error))
    if outcome.state == "SUCCESS":
        print_json(outcome.result)


def _command(bus: Bus, spec: TaskSpec) -> click.Command:
    """A click command with one option per parameter of a task."""
    properties = parameters.of(spec)
    required = spec.signature.parameters_schema.get("required", [])
    params: list[click.Parameter] = [
        click.Argument(["values"], nargs=-1, required=False, metavar="[VALUE]...")
    ]
    for name, schema in properties.items():
        if name in _OWN_OPTIONS:
            continue
        yes_or_no, many = takes(schema, "boolean"), takes(schema, "array")
        said = parameters.described(schema, required=name in required)
        option = _YesOrNo if yes_or_no else click.Option
        params.append(
            option(
                [f"--{name.replace('_', '-')}", f"task_{name}"],
                multiple=many,
                help=f"{said}  [repeatable]" if many else said,
                metavar="[true|false]" if yes_or_no else parameters.type_of(schema),
            )
        )
    params += [
        click.Option(["--priority"], is_flag=True, help="Go ahead of other calls."),
        click.Option(["--callback-url"], help="Where the outcome is POSTed."),
        click.Option(["--idempotency-key"], help="The same key gives the same call."),
        click.Option(["--no-wait"], is_flag=True, help="Print the task id and do not wait."),
        click.Option(
            ["--wait", "seconds"],
            type=click.FloatRange(min=0),
            help="Wait at most so many seconds.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print state and result as JSON."),
    ]

    @says_errors
    def run(values: tuple[str, ...], seconds: float | None, as_json: bool, **given: Any) -> None:
        from menos_bus.doors.client import submit

        names = list(properties)
        order = spec.signature.positional
        args = [
            _read(name, value, properties[name]) for name, value in zip(order, values, strict=False)
        ] + list(values[len(order) :])
        kwargs = {
            name: _read_option(name, given[f"task_{name}"], properties[name])
            for name in names
            if given.get(f"task_{name}") not in (None, ())
        }
        if given["priority"]:
            kwargs["priority"] = True
        for name in ("idempotency_key", "callback_url"):
            if given[name] is not None:
                kwargs[name] = given[name]
        task_id = submit(bus, spec.name, args, kwargs, seconds)
        if given["no_wait"]:
            print_json({"task_id": task_id}) if as_json else click.echo(task_id)
            return
        _finish(follow(bus, task_id, seconds), as_json=as_json)

    return click.Command(spec.name, callback=run, params=params, help=spec.description)


def _spelled_out(words: Sequence[str], command: click.Command) -> list[str]:
    """The words of a command line, with ``true`` after each option that may stand without it."""
    options = {
        flag: option
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag
        for flag in option.opts
    }
    said: list[str] = []
    rest = deque(words)
    while rest and rest[0] != "--":
        said.append(rest.popleft())
        option = options.get(said[-1])
        follows = rest[0] if rest else ""
        if isinstance(option, _YesOrNo) and follows.lower() not in _YES_OR_NO:
            said.append("true")
        elif option is not None and rest:
            said.append(rest.popleft())
    return [*said, *rest]


def _finish(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print_json(outcome.as_json())
    elif outcome.state == "SUCCESS":
        print_json(outcome.result)
    else:
        print_failure(outcome)
    if not outcome.ready:
        click.echo(
            f"{outcome.state}: not finished yet; `menos-bus result {outcome.task_id}` shows it",
            err=True,
        )
    if outcome.state != "SUCCESS":
        sys.exit(1)


def follow(bus: Bus, task_id: str, seconds: float | None) -> Outcome:
    """Wait for a call's end, or for so many seconds, with a progress bar in a terminal.

    What it waits for in vain is told on standard error. Ctrl-C ends the command with exit code 130.
    """
    from menos_bus.doors.client import wait

    try:
        with _progress_bar() as show:
            # print, and not click.echo, which would write into the line of the bar.
            return wait(bus, task_id, seconds, show, lambda line: print(line, file=sys.stderr))
    except KeyboardInterrupt:
        click.echo(f"\nThe call goes on: `menos-bus result {task_id}` shows it.", err=True)
        sys.exit(130)


@contextmanager
def _progress_bar() -> Iterator[Callable[[Outcome], None]]:
    """A bar on standard error while a person looks; silence in a pipe."""
    if not sys.stderr.isatty():
        yield lambda outcome: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("waiting", total=None)

        def show(outcome: Outcome) -> None:
            if outcome.progress:
                bars.update(
                    bar,
                    description=outcome.progress["stage"],
                    completed=outcome.progress["done"],
                    total=outcome.progress["total"],
                )
            else:
                waits = outcome.error["message"] if outcome.error else outcome.state.lower()
                bars.update(bar, description=waits)

        yield show


def _progress_line(progress: dict[str, Any]) -> str:
    total = f" of {progress['total']}" if progress["total"] is not None else ""
    return f"{progress['stage']}: {progress['done']}{total}"


def _read_option(name: str, given: str | tuple[str, ...], schema: dict[str, Any]) -> Any:
    if isinstance(given, str):
        return _read(name, given, schema)
    if len(given) == 1 and given[0].lstrip().startswith("["):
        return _read(name, given[0], schema)
    return [_text(name, value) for value in given]


def _read(name: str, value: str, schema: dict[str, Any]) -> Any:
    """What a word of the command line means for a parameter."""
    text = _text(name, value)
    if takes(schema, "string") and not (takes(schema, "array") and _is_list(text)):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        if takes(schema, "object"):
            reason = f"""this is no JSON: {error}; an object is written '{{"key": "value"}}'"""
            raise InvalidCall([FieldProblem(name, reason)]) from None
        # The bus's own check says what is wrong with it, as at every door.
        return [text] if takes(schema, "array") else text


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False


def _text(name: str, value: str) -> str:
    if not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    try:
        if value == "@-":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return Path(value[1:]).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidCall(
            [FieldProblem(name, f"{value[1:]} is not UTF-8 text: convert it")]
        ) from None
    except OSError as error:
        reason = (
            f"cannot read the file {value[1:]}: {error.strerror}; a text that begins with @ is "
            f"written @{value}"
        )
        raise InvalidCall([FieldProblem(name, reason)]) from None
