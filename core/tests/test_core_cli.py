"""The command line where no bus runs: what it prints, and its exit codes."""

import json

import pytest
from click.testing import CliRunner

from menos_bus import Bus
from menos_bus.cli.main import main
from menos_bus.version import VERSION


@pytest.fixture
def run(site, greeter, monkeypatch):
    """Run a command with one working plugin, ``hello``."""
    site.install("hello", greeter, version="2.1")
    monkeypatch.setenv("MENOS_PLUGINS", "hello")

    def run(*arguments):
        return CliRunner().invoke(main, arguments)

    return run


def test_help_lists_the_commands(run):
    shown = run("--help")

    assert shown.exit_code == 0
    for command in ("up", "call", "result", "plugins", "tasks", "doctor", "queues", "version"):
        assert command in shown.output


def test_an_unknown_command_is_an_error(run):
    assert run("fly").exit_code == 2


def test_version_says_those_that_matter(run):
    assert f"menos-bus {VERSION}" in run("version").stdout
    assert json.loads(run("version", "--json").stdout).keys() == {"menos-bus", "celery", "python"}


def test_plugins_are_listed_for_people(run):
    shown = run("plugins")

    assert shown.exit_code == 0
    for word in ("hello", "loaded", "2.1", "hello.greet"):
        assert word in shown.stdout


def test_plugins_are_listed_for_programs_with_those_that_are_missing(run, monkeypatch):
    monkeypatch.setenv("MENOS_PLUGINS", "hello,nowhere")

    listed = {plugin["name"]: plugin for plugin in json.loads(run("plugins", "--json").stdout)}

    assert listed["hello"]["state"] == "loaded"
    assert listed["nowhere"]["state"] == "missing"
    assert listed["nowhere"]["queue"] is None


def test_plugins_are_listed_although_one_is_broken(run, site, monkeypatch):
    site.install("broken", "import sys; sys.exit(1)")
    monkeypatch.setenv("MENOS_PLUGINS", "broken,hello")

    shown = run("plugins")

    assert shown.exit_code == 0
    assert "sys.exit(1)" in shown.stdout
    assert "hello.greet" in shown.stdout


def test_a_reason_with_brackets_is_shown_as_it_is(run, site, monkeypatch):
    site.install("broken", "raise RuntimeError('[red]not markup[/red]')")
    monkeypatch.setenv("MENOS_PLUGINS", "broken")

    assert "[red]not markup[/red]" in run("plugins").stdout


def test_tasks_are_listed_with_what_they_do(run):
    shown = run("tasks")

    assert "hello.greet" in shown.stdout
    assert "Greet somebody." in shown.stdout


def test_one_task_is_shown_with_its_parameters(run):
    shown = run("tasks", "hello.greet")

    assert shown.exit_code == 0
    assert "required" in shown.stdout
    assert "integer" in shown.stdout


def test_tasks_are_listed_for_programs_with_their_schemas(run):
    [task] = json.loads(run("tasks", "--json").stdout)

    assert task["name"] == "hello.greet"
    assert task["parameters"]["required"] == ["who"]


@pytest.mark.parametrize("command", [("tasks",), ("call",)])
def test_an_unknown_task_is_answered_with_the_known_ones(run, command):
    shown = run(*command, "hello.great")

    assert shown.exit_code == 2
    meant = "did you mean 'hello.greet'?"
    assert f"unknown task 'hello.great'; {meant} (known: hello.greet)" in shown.stderr


def test_an_error_is_told_to_programs_too(run):
    shown = run("tasks", "hello.great", "--json")

    assert shown.exit_code == 2
    assert json.loads(shown.stdout)["error"]["code"] == "unknown_task"


@pytest.mark.parametrize("command", ["plugins", "tasks", "queues", "up"])
def test_a_wrong_setting_is_named_without_a_traceback(run, monkeypatch, command):
    monkeypatch.setenv("MENOS_CONCURRENCY", "many")

    shown = run(command)

    assert shown.exit_code == 2
    assert "MENOS_CONCURRENCY" in shown.stderr
    assert shown.exception is None or isinstance(shown.exception, SystemExit)


@pytest.fixture
def barred(monkeypatch, tmp_path):
    """A data folder that cannot be looked into, whoever runs the tests."""
    home = tmp_path / ("long" * 100)
    monkeypatch.setenv("MENOS_HOME", str(home))
    return home


@pytest.mark.parametrize(
    "words",
    [("call", "hello.greet", "Ada"), ("queues",), ("quota",), ("dead", "list"), ("result", "a")],
    ids=" ".join,
)
def test_a_data_folder_that_cannot_be_looked_into_is_named_without_a_traceback(run, barred, words):
    shown = run(*words)

    assert shown.exit_code == 2
    assert str(barred) in shown.stderr
    assert isinstance(shown.exception, SystemExit)


def test_the_doctor_names_a_data_folder_that_cannot_be_looked_into(run, barred):
    found = checks(run("doctor", "--json"))

    assert found["bus"]["ok"] is False
    assert str(barred) in found["bus"]["message"]
    assert "as the user who runs the bus" in found["bus"]["message"]


@pytest.mark.parametrize("command", [("queues",), ("result", "abc")])
def test_a_data_folder_that_is_a_file_is_named_without_a_traceback(
    run, monkeypatch, tmp_path, command
):
    home = tmp_path / "a-file"
    home.write_text("")
    monkeypatch.setenv("MENOS_HOME", str(home))

    shown = run(*command)

    assert shown.exit_code == 2
    assert "a-file" in shown.stderr


def test_queues_without_a_running_bus_are_those_that_wait_for_its_next_start(run):
    nothing = run("queues")
    bus = Bus()
    bus.submit("hello.greet", ["Ada"])
    cut_off = bus.submit("hello.greet", ["Ben"])
    bus.app.backend.store_result(cut_off, None, "STARTED")  # what a process leaves that is killed

    shown = run("queues", "--json")

    assert nothing.exit_code == 2
    assert "no bus is running on the data folder" in nothing.stderr
    assert not nothing.stdout
    assert shown.exit_code == 0
    assert "No bus is running" in shown.stderr
    assert {"name": "hello", "messages": 2, "running": 0} in json.loads(shown.stdout)
    assert "hello.priority" in run("queues").stdout


def test_a_misspelt_command_is_answered_with_the_one_that_is_like_it(run):
    shown = run("quta")
    other = run("nonsense")

    assert shown.exit_code == other.exit_code == 2
    assert "No such command 'quta'; did you mean 'quota'?" in shown.stderr
    assert "No such command 'nonsense': see menos-bus --help" in other.stderr


def test_a_command_of_a_plugin_that_is_not_loaded_is_told_as_such(run, site, monkeypatch):
    site.install("broken", "raise RuntimeError")
    monkeypatch.setenv("MENOS_PLUGINS", "hello,broken")

    shown = run("vault")

    assert shown.exit_code == 2
    assert "; not loaded: broken (failed), " in shown.stderr
    assert "`menos-bus plugins` says why" in shown.stderr


def test_a_wrong_setting_is_told_also_where_a_command_may_be_a_plugin_s(run, monkeypatch):
    monkeypatch.setenv("MENOS_CONCURRENCY", "many")

    shown, told = run("vault"), run("vault", "list", "--json")

    assert (shown.exit_code, told.exit_code) == (2, 2)
    assert "MENOS_CONCURRENCY" in shown.stderr
    assert json.loads(told.stdout)["error"]["code"] == "settings"
    assert run("--help").exit_code == 0


@pytest.mark.parametrize("command", ["worker", "flower"])
def test_what_only_a_fleet_has_says_that_it_needs_a_broker(run, command):
    shown = run(command)

    assert shown.exit_code == 2
    assert "MENOS_BROKER_URL" in shown.stderr
    assert "menos-bus up" in shown.stderr


def test_up_says_that_a_fleet_is_run_otherwise(run, monkeypatch):
    monkeypatch.setenv("MENOS_BROKER_URL", "amqp://127.0.0.1:1")
    monkeypatch.setenv("MENOS_RESULT_BACKEND", "redis://127.0.0.1:1")

    shown = run("up")

    assert shown.exit_code == 2
    assert "menos-bus worker" in shown.stderr


# result


def test_an_id_is_unknown_where_nothing_ever_ran(run):
    shown = run("result", "abc")

    assert shown.exit_code == 2
    assert ".menos" in shown.stderr


def test_an_unknown_id_is_an_error_for_people_and_programs(run):
    Bus().submit("hello.greet", ["Ada"])

    shown = run("result", "abc", "--json")

    assert shown.exit_code == 2
    assert "'abc'" in shown.stderr
    assert json.loads(shown.stdout)["error"]["code"] == "unknown_task_id"


# doctor


def checks(shown):
    return {check["name"]: check for check in json.loads(shown.stdout)["checks"]}


def test_doctor_finds_nothing_where_all_is_fine(run):
    pytest.importorskip("flower")

    shown = run("doctor")

    assert shown.exit_code == 0, shown.output
    assert "Everything is fine." in shown.stdout
    assert "hello" in shown.stdout


def test_doctor_tells_programs_too(run):
    pytest.importorskip("flower")

    shown = run("doctor", "--json")

    assert json.loads(shown.stdout)["ok"] is True
    assert checks(shown)["plugin hello"]["ok"] is True


def test_doctor_says_what_is_wrong_with_a_plugin_and_what_to_do(run, site, monkeypatch):
    site.install("broken", "import nowhere_to_be_found")
    monkeypatch.setenv("MENOS_PLUGINS", "broken,hello")

    shown = run("doctor")

    assert shown.exit_code == 1
    assert "nowhere_to_be_found" in shown.stdout
    assert "MENOS_PLUGINS can leave it out" in shown.stdout
    assert "1 problem" in shown.stdout


def test_doctor_runs_although_every_plugin_is_broken(run, site, monkeypatch):
    site.install("broken", "import sys; sys.exit(1)")
    monkeypatch.setenv("MENOS_PLUGINS", "broken,nowhere")

    found = checks(run("doctor", "--json"))

    assert found["plugin broken"]["ok"] is False
    assert found["plugin nowhere"]["fix"]


def test_a_quota_of_a_plugin_that_is_not_loaded_is_told_so(run, site, monkeypatch):
    site.install("broken", "1 / 0")
    monkeypatch.setenv("MENOS_PLUGINS", "broken")

    shown, listed = run("quota", "broken.calls"), run("quota")

    assert shown.exit_code == 2
    assert "the plugin 'broken' is failed" in shown.stderr
    assert "not loaded: broken (failed)" in listed.stdout


def test_doctor_tells_a_package_that_is_no_plugin_for_want_of_an_entry_point(run, site):
    site.install("hello2", "", requires="menos-bus>=0.1")
    site.install("lost", "", requires="menos-bus>=0.1", group="somewhere.else")

    found = checks(run("doctor", "--json"))

    assert found["package menos-lost"]["ok"] is True
    assert "no entry point" in found["package menos-lost"]["message"]
    assert "package menos-hello2" not in found


def test_doctor_names_a_wrong_setting(run, monkeypatch):
    monkeypatch.setenv("MENOS_FLOWER_PORT", "none")

    shown = run("doctor", "--json")

    assert shown.exit_code == 1
    assert "MENOS_FLOWER_PORT" in checks(shown)["settings"]["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MENOS_CALLBACK_ALLOW", "a b"),
        ("MENOS_BROKER_URL", "ampq://rabbit"),
        ("MENOS_BROKER_URL", "rabbit:5672"),
        ("MENOS_BROKER_URL", "amqp://u:se#cret@rabbit"),
        ("MENOS_RESULT_BACKEND", "http://redis"),
    ],
)
def test_doctor_names_a_setting_that_no_application_can_be_made_with(run, monkeypatch, name, value):
    if name != "MENOS_CALLBACK_ALLOW":
        monkeypatch.setenv("MENOS_BROKER_URL", "amqp://rabbit")
        monkeypatch.setenv("MENOS_RESULT_BACKEND", "redis://redis")
    monkeypatch.setenv(name, value)

    shown = run("doctor")

    assert shown.exit_code == 1
    assert f"settings: {name}" in shown.stdout
    assert "'se'" not in shown.stdout


def test_doctor_names_a_variable_that_nothing_reads(run, monkeypatch):
    monkeypatch.setenv("MENOS_CONCURENCY", "4")

    shown = run("doctor", "--json")

    assert shown.exit_code == 1
    assert "MENOS_CONCURENCY" in checks(shown)["settings"]["message"]


def test_doctor_knows_the_settings_of_plugins_and_of_the_vault(run, monkeypatch):
    monkeypatch.setenv("MENOS_HELLO_LIMIT", "4")
    monkeypatch.setenv("MENOS_VAULT_URL", "x")

    assert checks(run("doctor", "--json"))["settings"]["ok"] is True


def test_doctor_finds_a_data_folder_that_is_a_file(run, monkeypatch, tmp_path):
    home = tmp_path / "file"
    home.write_text("")
    monkeypatch.setenv("MENOS_HOME", str(home))

    assert checks(run("doctor", "--json"))["data folder"]["ok"] is False


def test_doctor_changes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MENOS_HOME", str(tmp_path / "home"))

    run("doctor")

    assert not (tmp_path / "home").exists()


def test_doctor_passes_on_what_plugins_say_of_themselves(run, site, monkeypatch):
    pytest.importorskip("flower")
    site.install(
        "ill",
        "from menos_bus import Check, hookimpl\n@hookimpl\ndef check_health():\n"
        "  yield Check('ill.store', False, 'is down', 'start it')\n",
    )
    monkeypatch.setenv("MENOS_PLUGINS", "ill")

    shown = run("doctor")

    assert shown.exit_code == 1
    assert "ill.store: is down" in shown.stdout
    assert "start it" in shown.stdout


SHOUT = """
import click
from menos_bus import hookimpl
from menos_bus.cli.plugins import call_task, says_errors

class Shout:
    name = "shout"

    def load(self):
        @click.command("shout")
        @says_errors
        def shout():
            call_task("shout.louder")
        return shout

@hookimpl
def register_extensions(register):
    click.echo("registered")
    register("bus.command", Shout())
"""


def test_plugins_are_loaded_once_for_a_command_of_one(site, monkeypatch):
    site.install("shout", SHOUT)
    monkeypatch.setenv("MENOS_PLUGINS", "shout")

    shown = CliRunner().invoke(main, ["shout"])

    assert "no bus is running" in shown.stderr.lower()
    assert shown.stdout == "registered\n"
