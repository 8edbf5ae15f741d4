"""The compose file and the Dockerfile agree with the code; no Docker is needed to see that."""

from __future__ import annotations

import re
import tomllib

import click
import yaml

from menos_bus import Bus
from menos_bus.cli.main import main
from menos_bus.settings import BusSettings
from menos_vault import VaultSettings
from running import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: s for name, s in COMPOSE["services"].items() if "build" in s}


def test_every_service_of_ours_runs_a_command_that_exists():
    for service in OURS.values():
        command, *options = service["command"]
        found = main.get_command(click.Context(main), command)
        assert found is not None
        known = {option for param in found.params for option in param.opts}
        assert {word for word in options if word.startswith("-")} <= known


def test_every_setting_is_one_that_something_reads():
    known = {f"MENOS_{name.upper()}" for name in BusSettings.model_fields}
    for plugin in Bus().plugins:
        for settings in plugin.settings:
            prefix = settings.model_config["env_prefix"]
            known |= {prefix + name.upper() for name in settings.model_fields}
    known |= {f"MENOS_VAULT_{name.upper()}" for name in VaultSettings.model_fields}
    used = {name for service in OURS.values() for name in service["environment"]}

    assert used <= known


def test_there_is_no_password_by_default():
    text = (ROOT / "compose.yaml").read_text()

    uses = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET))(.*?)\}", text)
    assert len({name for name, _ in uses}) == 9
    assert all(use == f":?set {name}" for name, use in uses)


def test_the_example_of_the_env_file_has_every_variable_and_no_value():
    text = (ROOT / "compose.yaml").read_text()
    example = (ROOT / "deploy" / "env.example").read_text()

    listed = re.findall(r"^(\w+)=(.*)$", example, re.M)
    assert {name for name, _ in listed} == set(re.findall(r"\$\{(\w+)", text))
    assert all(value == "" for _, value in listed)


def test_what_is_mounted_and_referred_to_exists():
    services, volumes = COMPOSE["services"], COMPOSE["volumes"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith("./") else source in volumes
        assert ("image" in service) != ("build" in service)
        if "image" in service:
            assert re.search(r":v?\d|:RELEASE", service["image"]), "an image needs a version"


def test_the_file_is_what_the_compose_specification_says():
    for name, service in COMPOSE["services"].items():
        assert service.keys() <= KEYS, name
        health = service.get("healthcheck", {"test": ["CMD"]})
        assert health["test"][0] in ("CMD", "CMD-SHELL")
        for condition in service.get("depends_on", {}).values():
            assert condition["condition"] in (
                "service_started", "service_healthy", "service_completed_successfully",
            )  # fmt: skip


KEYS = {
    "build", "command", "depends_on", "entrypoint", "environment", "healthcheck", "hostname",
    "image", "ports", "profiles", "read_only", "restart", "security_opt", "stop_grace_period",
    "tmpfs", "user", "volumes",
}  # fmt: skip
"""The keys of a service, by https://github.com/compose-spec/compose-spec, that are used here."""


def test_what_shares_the_vault_is_served_by_one_process_with_one_task_at_a_time():
    [worker] = [s for s in OURS.values() if s["command"][0] == "worker"]
    command = worker["command"]
    only = {command[i + 1] for i, word in enumerate(command) if word == "--only"}

    assert command[command.index("--concurrency") + 1] == "${WORKER_CONCURRENCY:-1}"
    assert only == set(worker["build"]["args"]["PLUGINS"].split())
    assert "deploy" not in worker


def test_the_vault_is_in_the_workers_folder_until_env_names_the_servers_of_the_profile():
    here = vault_settings({})
    there = vault_settings({"VAULT_URL": "ws://surrealdb:8000", "VAULT_OBJECTS": "s3://menos"})

    assert here.embedded
    assert here.s3_place is None
    assert here.username == ""
    assert not there.embedded
    assert (there.username, there.password.get_secret_value()) == ("root", "SURREALDB_PASSWORD")
    assert there.s3_place is not None
    assert there.s3_secret_key.get_secret_value() == "MINIO_PASSWORD"
    database = COMPOSE["services"]["surrealdb"]["environment"]
    assert database["SURREAL_USER"] == "root"


def vault_settings(env: dict[str, str]) -> VaultSettings:
    """The vault's settings in the worker's container; each password is the name of its variable."""

    def value(match: re.Match[str]) -> str:
        name, operator, other = match.groups()
        if operator == ":?":
            return name
        if operator == ":+":
            return other if name in env else ""
        return env.get(name, other)

    prefix = "MENOS_VAULT_"
    return VaultSettings.model_validate(
        {
            name.removeprefix(prefix).lower(): given
            for name, text in OURS["worker"]["environment"].items()
            if name.startswith(prefix)
            and (given := re.sub(r"\$\{(\w+)(:[-?+])(.*?)\}", value, text))
        }
    )


def test_the_worker_of_the_guide_works_when_it_is_added():
    guide = (ROOT / "docs" / "fleet.md").read_text()
    text = (ROOT / "compose.yaml").read_text()
    added = re.search(r"^  worker-search:\n(?: {4}.*\n)+", guide, re.M)[0]
    service = yaml.safe_load(text.replace("services:\n", f"services:\n{added}"))["services"][
        "worker-search"
    ]

    assert service.keys() <= KEYS
    assert service["environment"].keys() < OURS["worker"]["environment"].keys()
    with main.get_command(click.Context(main), "worker").make_context(
        "worker", list(service["command"][1:])
    ) as context:
        assert context.params["only"] == ("search",)


def test_the_service_in_the_comment_works_when_it_is_uncommented():
    text = (ROOT / "compose.yaml").read_text()
    lines = re.search(r"^  # {3}worker-hello:\n(?:  # {5}.*\n)+", text, re.M)[0]
    service = yaml.safe_load(
        text.replace(lines, re.sub(r"^  # {3}", "  ", lines, flags=re.M))
    )["services"]["worker-hello"]  # fmt: skip

    assert service.keys() <= KEYS
    with main.get_command(click.Context(main), "worker").make_context(
        "worker", list(service["command"][1:])
    ) as context:
        assert context.params["only"] == ("hello",)


def test_whatever_goes_on_running_says_whether_it_is_well():
    for name, service in COMPOSE["services"].items():
        ends_by_itself = service["restart"] == "on-failure"
        assert ("healthcheck" in service) != ends_by_itself, name


def test_a_worker_gets_the_time_that_a_task_may_take():
    grace = int(OURS["worker"]["stop_grace_period"].removesuffix("m")) * 60

    assert grace > BusSettings.model_fields["time_limit"].default


def test_the_plugins_of_the_image_are_those_that_users_may_reach():
    users = COMPOSE["services"]["rabbitmq-users"]["environment"]["PLUGINS"]
    script = (ROOT / "deploy" / "rabbitmq-users.sh").read_text()
    image = (ROOT / "Dockerfile").read_text()

    assert all(service["build"]["args"]["PLUGINS"] == users for service in OURS.values())
    assert f'PLUGINS:={users}}}"' in script
    assert f'ARG PLUGINS="{users}"' in image
    assert set(users.split()) == {folder.name for folder in (ROOT / "plugins").iterdir()}


def test_the_administrators_password_goes_to_the_broker_and_to_who_makes_its_users_only():
    holders = {
        name for name, service in COMPOSE["services"].items()
        if "RABBITMQ_ADMIN_PASSWORD" in str(service)
    }  # fmt: skip

    assert holders == {"rabbitmq", "rabbitmq-users"}


def test_servers_that_the_vault_may_use_do_not_start_by_themselves():
    optional = {name for name, s in COMPOSE["services"].items() if s.get("profiles")}

    assert optional == {"surrealdb", "minio", "ollama", "ollama-model"}
    for service in OURS.values():
        assert not optional & service["depends_on"].keys()


def test_nothing_is_published_beyond_loopback():
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_installs_packages_of_this_repository():
    text = (ROOT / "Dockerfile").read_text()

    sent = (ROOT / ".dockerignore").read_text().split()
    for folder in re.findall(r"^COPY (\S+) ", text, re.M):
        assert (ROOT / folder).is_dir()
        assert f"!{folder}" in sent
    assert re.search(r"^USER (?!root)", text, re.M)
    extras = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text())["project"]
    for extra in re.search(r"core\[(.*?)\]", text).group(1).split(","):
        assert extra in extras["optional-dependencies"]
    for plugin in re.search(r'ARG PLUGINS="(.*)"', text).group(1).split():
        assert (ROOT / "plugins" / plugin / "pyproject.toml").is_file()
