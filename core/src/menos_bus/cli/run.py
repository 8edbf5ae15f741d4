"""``up``, ``worker``, ``flower``: what runs until it is stopped."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from menos_bus.cli.output import json_option, says_errors
from menos_bus.errors import SettingsError
from menos_bus.settings import BusSettings


@click.command()
@click.option("--port", type=int, help="Flower's port; overrides MENOS_FLOWER_PORT.")
@json_option
@says_errors
def up(port: int | None, as_json: bool) -> None:
    """Run the whole bus in this process: worker, broker and Flower, on loopback.

    Ctrl-C lets running tasks finish; whatever was accepted and did not finish runs again at the
    next start.
    """
    from menos_bus.bus import Bus

    overrides: dict[str, Any] = {} if port is None else {"flower_port": port}
    settings = BusSettings.load(**overrides)
    if not settings.embedded:
        raise SettingsError(
            "MENOS_BROKER_URL is set: a fleet runs `menos-bus worker` and `menos-bus flower`; "
            "unset it to run all in one process"
        )
    _log(settings)
    _need_flower()
    os.umask(0o077)  # arguments, texts and results are its owner's, whatever the folder allows
    from menos_bus.cli.banner import print_banner
    from menos_bus.doors.embedded import EmbeddedBus

    bus = Bus(settings)
    EmbeddedBus(bus).run(lambda address: print_banner(bus, address, as_json=as_json))


@click.command()
@click.option("--only", multiple=True, metavar="PLUGIN", help="Serve just this plugin; repeatable.")
@click.option("--concurrency", type=int, help="Tasks at a time; overrides MENOS_CONCURRENCY.")
@says_errors
def worker(only: tuple[str, ...], concurrency: int | None) -> None:
    """Serve the queues of this host's plugins from a fleet's broker."""
    from menos_bus.bus import Bus
    from menos_bus.doors.worker import run_worker

    overrides: dict[str, Any] = {} if concurrency is None else {"concurrency": concurrency}
    settings = BusSettings.load(**overrides)
    _log(settings)
    sys.exit(run_worker(Bus(settings), only))


@click.command()
@click.option("--port", type=int, help="Flower's port; overrides MENOS_FLOWER_PORT.")
@says_errors
def flower(port: int | None) -> None:
    """Run Flower with this bus's tasks and checks, for a fleet's broker."""
    from menos_bus.bus import Bus

    overrides: dict[str, Any] = {} if port is None else {"flower_port": port}
    settings = BusSettings.load(**overrides)
    if settings.embedded:
        raise SettingsError(
            "a Flower of its own needs a broker: set MENOS_BROKER_URL and MENOS_RESULT_BACKEND; "
            "without them `menos-bus up` runs Flower too"
        )
    _log(settings)
    _need_flower()
    from menos_bus.doors.credentials import credentials
    from menos_bus.doors.flower import make_flower

    login = credentials(settings)
    app = make_flower(Bus(settings), login)
    try:
        bound = app.start_http_server()
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {settings.flower_host}:{settings.flower_port} ({error.strerror}): "
            "set MENOS_FLOWER_PORT"
        ) from error
    click.echo(f"Flower: http://{settings.flower_host}:{bound}   user: {login.user}")
    try:
        app.start()
    except KeyboardInterrupt:
        app.stop()


def _log(settings: BusSettings) -> None:
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _need_flower() -> None:
    try:
        import flower  # noqa: F401
    except ImportError as error:
        raise SettingsError("Flower is not installed: pip install 'menos-bus[flower]'") from error
