"""The compose file and the Dockerfile agree with the code; no Docker is needed to see that."""

from __future__ import annotations

import re

import click
import yaml

from menos_bus import Bus
from menos_bus.cli.main import main
from menos_bus.settings import BusSettings
from running import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: s for name, s in COMPOSE["services"].items() if "build" in s}


def test_every_service_of_ours_runs_a_command_that_exists():
    for service in OURS.values():
        command, *options = service["command"]
        found = main.get_command(click.Context(main), command)
        known = {option for param in found.params for option in param.opts}
        assert {word for word in options if word.startswith("-")} <= known


def test_every_setting_is_one_that_something_reads():
    known = {f"MENOS_{name.upper()}" for name in BusSettings.model_fields}
    for plugin in Bus().plugins:
        for settings in plugin.settings:
            prefix = settings.model_config["env_prefix"]
            known |= {prefix + name.upper() for name in settings.model_fields}
    used = {name for service in OURS.values() for name in service["environment"]}

    assert used <= known


def test_there_is_no_password_by_default():
    text = (ROOT / "compose.yaml").read_text()

    for variable in ("RABBITMQ_PASSWORD", "REDIS_PASSWORD", "FLOWER_PASSWORD"):
        uses = re.findall(r"\$\{" + variable + r"(.*?)\}", text)
        assert uses
        assert all(use.startswith(":?") for use in uses)


def test_nothing_is_published_beyond_loopback():
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_installs_packages_of_this_repository():
    text = (ROOT / "Dockerfile").read_text()

    for folder in re.findall(r"^COPY (\S+) ", text, re.M):
        assert (ROOT / folder).is_dir()
    for plugin in re.search(r'ARG PLUGINS="(.*)"', text).group(1).split():
        assert (ROOT / "plugins" / plugin / "pyproject.toml").is_file()
