"""``up``, ``worker``, ``flower``, ``api``: what runs until it is stopped."""

from __future__ import annotations

import gc
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from menos_bus.cli.output import json_option, says_errors
from menos_bus.errors import SettingsError
from menos_bus.settings import BusSettings

if TYPE_CHECKING:
    from menos_bus.doors.worker import Pool


@click.command()
@click.option("--port", type=int, help="Flower's port; overrides MENOS_FLOWER_PORT.")
@click.option("--api-port", type=int, help="The HTTP API's port; overrides MENOS_API_PORT.")
@json_option
@says_errors
def up(port: int | None, api_port: int | None, as_json: bool) -> None:
    """Run the whole bus in this process: worker, broker, Flower and HTTP API, on loopback.

    Ctrl-C lets running tasks finish; whatever was accepted and did not finish runs again at the
    next start.
    """
    from menos_bus.bus import Bus

    settings = BusSettings.load(**_given(flower_port=port, api_port=api_port))
    if not settings.embedded:
        raise SettingsError(
            "MENOS_BROKER_URL is set: a fleet runs `menos-bus worker`, `menos-bus flower` and "
            "`menos-bus api`; unset it to run all in one process"
        )
    _log(settings)
    _need_flower()
    os.umask(0o077)  # arguments, texts and results are its owner's, whatever the folder allows
    with _kept_for_good():
        from menos_bus.cli.banner import print_banner
        from menos_bus.doors.embedded import EmbeddedBus

        bus = Bus(settings)
        embedded = EmbeddedBus(bus)
    embedded.run(lambda address: print_banner(bus, address, as_json=as_json))


@click.command()
@click.option("--only", multiple=True, metavar="PLUGIN", help="Serve just this plugin; repeatable.")
@click.option("--concurrency", type=int, help="Tasks at a time; overrides MENOS_CONCURRENCY.")
@click.option(
    "--pool",
    type=click.Choice(["prefork", "threads", "solo", "gevent"]),
    default="prefork",
    show_default=True,
    help="How tasks run side by side: in processes, threads, one by one, or greenlets.",
)
@click.option("--reload", is_flag=True, help="Start again when a Python file here changes.")
@says_errors
def worker(only: tuple[str, ...], concurrency: int | None, pool: Pool, reload: bool) -> None:
    """Serve the queues of this host's plugins from a fleet's broker."""
    if reload:
        _run_again_on_changes()
        return
    from menos_bus.bus import Bus
    from menos_bus.doors.worker import run_worker

    settings = BusSettings.load(**_given(concurrency=concurrency))
    _log(settings)
    sys.exit(run_worker(Bus(settings), only, pool))


def _run_again_on_changes() -> None:
    try:
        from watchfiles import PythonFilter, run_process
    except ImportError as error:
        raise SettingsError("--reload needs watchfiles: pip install 'menos-bus[reload]'") from error
    command = shlex.join(word for word in sys.argv if word != "--reload")
    click.echo(f"Watching the Python files in {Path.cwd()}", err=True)
    # The worker gets the time to hand its tasks back, as at any stop.
    run_process(
        ".", target=command, target_type="command", watch_filter=PythonFilter(), sigint_timeout=30
    )


@click.command()
@click.option("--port", type=int, help="Flower's port; overrides MENOS_FLOWER_PORT.")
@says_errors
def flower(port: int | None) -> None:
    """Run Flower with this bus's tasks and checks, for a fleet's broker."""
    from menos_bus.bus import Bus

    settings = BusSettings.load(**_given(flower_port=port))
    if settings.embedded:
        raise SettingsError(
            "a Flower of its own needs a broker: set MENOS_BROKER_URL and MENOS_RESULT_BACKEND; "
            "without them `menos-bus up` runs Flower too"
        )
    _log(settings)
    _need_flower()
    from menos_bus.doors.credentials import logins
    from menos_bus.doors.flower import make_flower
    from menos_bus.doors.server_logins import refuse_wrong_login
    from menos_bus.doors.serving import url_of

    known = logins(settings)
    bus = Bus(settings)
    refuse_wrong_login(bus, broker=True)
    app = make_flower(bus, known)
    url = url_of(settings.flower_host, app.start_http_server())
    click.echo(f"Flower: {url}   operator: {known.operator.user}   callers: {known.caller.user}")
    _say_where_passwords_are(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: app.io_loop.add_callback_from_signal(app.stop))
    app.start()


@click.command()
@click.option("--port", type=int, help="The port; overrides MENOS_API_PORT.")
@click.option("--host", help="The address to listen on; overrides MENOS_API_HOST.")
@says_errors
def api(port: int | None, host: str | None) -> None:
    """Run the HTTP API, for a fleet's broker."""
    from menos_bus.bus import Bus

    settings = BusSettings.load(**_given(api_port=port, api_host=host))
    if settings.embedded:
        raise SettingsError(
            "an HTTP API of its own needs a broker: set MENOS_BROKER_URL and MENOS_RESULT_BACKEND; "
            "without them `menos-bus up` runs the HTTP API too"
        )
    _log(settings)
    from menos_bus.doors.credentials import logins
    from menos_bus.doors.serving import ApiServer

    known = logins(settings)
    server = ApiServer(Bus(settings), known)
    click.echo(f"HTTP API: {server.url}   callers: {known.caller.user}")
    _say_where_passwords_are(settings)
    server.run()


def _say_where_passwords_are(settings: BusSettings) -> None:
    """A log is no place for them, but who starts a door for the first time needs one."""
    from menos_bus.doors.credentials import FILE

    missing = [
        f"MENOS_{name.upper()}"
        for name in ("flower_password", "caller_password")
        if getattr(settings, name) is None
    ]
    if missing:
        path = settings.home.resolve() / FILE
        click.echo(f"Without {' and '.join(missing)}: passwords of this host's own, in {path}")


def _given(**overrides: object) -> dict[str, Any]:
    """The settings that an option was given for."""
    return {name: value for name, value in overrides.items() if value is not None}


@contextmanager
def _kept_for_good() -> Iterator[None]:
    """What is made here lives as long as the process; the garbage collector leaves it alone."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _log(settings: BusSettings) -> None:
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def _need_flower() -> None:
    try:
        import flower  # noqa: F401
    except ImportError as error:
        raise SettingsError("Flower is not installed: pip install 'menos-bus[flower]'") from error
