"""The workflows of examples/n8n agree with the code; no n8n is needed to see that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from menos_bus import Bus
from menos_bus.doors.flower_handlers import HANDLERS
from menos_bus.settings import BusSettings
from menos_bus.tasks.schema import RESERVED
from running import ROOT

FOLDER = ROOT / "examples" / "n8n"
FILES = sorted(path for path in FOLDER.glob("*.json") if path.name[0].isdigit())
WORKFLOWS = [pytest.param(json.loads(path.read_text()), id=path.stem) for path in FILES]
EACH = pytest.mark.parametrize("workflow", WORKFLOWS)
CREDENTIALS = json.loads((FOLDER / "credentials.example.json").read_text())
PAGE = (ROOT / "docs" / "n8n.md").read_text()


def nodes(workflow: dict[str, Any], kind: str = "") -> list[dict[str, Any]]:
    """The nodes of a kind, without the notes."""
    named = f"n8n-nodes-base.{kind}"
    every = [node for node in workflow["nodes"] if "stickyNote" not in node["type"]]
    return [node for node in every if node["type"] == named] if kind else every


def notes(workflow: dict[str, Any]) -> dict[str, str]:
    """The notes of a workflow by their names."""
    found = (node for node in workflow["nodes"] if node["type"] == "n8n-nodes-base.stickyNote")
    return {node["name"]: node["parameters"]["content"] for node in found}


def links(workflow: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for source, outputs in workflow["connections"].items():
        for output in outputs["main"]:
            for link in output:
                yield source, link["node"]


def calls(workflow: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """The tasks that a workflow calls, each with the names of the keyword arguments it gives."""
    for node in nodes(workflow, "set"):
        text = node["parameters"]["jsonOutput"].removeprefix("=")
        if '"kwargs"' not in text:
            continue
        given = _parsed(text)
        for call in given.get("calls", [given]):
            yield call.get("task") or _task_of_url(workflow), set(call["kwargs"])
    for node in nodes(workflow, "httpRequest"):
        body = node["parameters"].get("jsonBody", "").removeprefix("=")
        if body.startswith("{\n"):
            yield _task(node["parameters"]["url"]), set(_parsed(body)["kwargs"])


def _parsed(text: str) -> dict[str, Any]:
    """JSON with expressions in it: inside of a text they stay, elsewhere they become one."""
    quoted = re.sub(r": (\{\{ (?:(?!\}\}).)+ \}\})", ': "an expression"', text)
    return dict(json.loads(re.sub(r"\{\{(?:(?!\}\}).)+\}\}", "an expression", quoted)))


def _task(url: str) -> str:
    return url.rpartition("/")[2]


def _task_of_url(workflow: dict[str, Any]) -> str:
    """The task of the one request whose URL names it."""
    urls = [node["parameters"]["url"] for node in nodes(workflow, "httpRequest")]
    (task,) = {_task(url) for url in urls if "/tasks." in url}
    return task


def test_there_are_the_five_that_the_page_names():
    assert len(FILES) == 5
    for path in [*FILES, FOLDER / "credentials.example.json"]:
        assert f"(../examples/n8n/{path.name})" in PAGE


@EACH
def test_a_workflow_can_be_imported(workflow):
    assert re.fullmatch(r"\w{16}", workflow["id"])
    assert workflow["active"] is False
    names = [node["name"] for node in workflow["nodes"]]
    assert len(names) == len(set(names))
    ids = [node["id"] for node in workflow["nodes"]]
    assert len(ids) == len(set(ids))
    assert len({param.values[0]["id"] for param in WORKFLOWS}) == len(WORKFLOWS)


@EACH
def test_every_node_is_reached_and_every_link_leads_somewhere(workflow):
    known = {node["name"] for node in nodes(workflow)}
    begin = {n["name"] for n in nodes(workflow, "manualTrigger") + nodes(workflow, "webhook")}

    ends = {target for _, target in links(workflow)}
    assert ends <= known
    assert set(workflow["connections"]) <= known
    assert known == ends | begin
    used = set(re.findall(r"\$\('([^']+)'\)", json.dumps(nodes(workflow))))
    assert used <= known


@EACH
def test_every_way_out_of_a_switch_is_named(workflow):
    for node in nodes(workflow, "switch"):
        rules = node["parameters"]["rules"]["values"]
        assert all(rule["renameOutput"] and rule["outputKey"] for rule in rules)
        assert node["parameters"]["options"]["fallbackOutput"] == "extra"
        # What no rule fits may end there; no rule may.
        assert len(workflow["connections"][node["name"]]["main"]) >= len(rules)


@EACH
def test_its_notes_explain_it_and_tell_how_it_was_tried(workflow):
    assert len(notes(workflow)) >= 3
    assert "n8n 2." in notes(workflow)["Tried"]
    assert "credential" in notes(workflow)["Read me"]


@EACH
def test_it_calls_tasks_that_exist_with_parameters_that_they_have(workflow):
    registry = Bus().registry

    found = list(calls(workflow))
    assert found
    for task, given in found:
        if (workflow["id"], task) == ("menosBus5ErrorBr", "tasks.search"):
            continue  # the call that is to be refused
        schema = registry[task].signature.parameters_schema
        assert given - RESERVED - {"priority"} <= set(schema["properties"]), task


@EACH
def test_it_asks_endpoints_that_exist(workflow):
    for node in nodes(workflow, "httpRequest"):
        path = "/api/" + node["parameters"]["url"].partition("/api/")[2].partition("?")[0]
        (handler,) = [handler for route, handler in HANDLERS if re.fullmatch(route, path)]
        assert hasattr(handler, node["parameters"]["method"].lower())
        assert handler.for_callers


@EACH
def test_a_request_that_may_be_repeated_has_an_idempotency_key(workflow):
    posts = [n for n in nodes(workflow, "httpRequest") if n["parameters"]["method"] == "POST"]
    if any(node.get("retryOnFail") for node in posts):
        for task, given in calls(workflow):
            assert "idempotency_key" in given or task == "tasks.search"


@EACH
def test_a_request_is_given_more_time_than_it_asks_the_bus_to_wait(workflow):
    for node in nodes(workflow, "httpRequest"):
        if asked := re.search(r"timeout=(\d+)", node["parameters"]["url"]):
            assert node["parameters"]["options"]["timeout"] > int(asked[1]) * 1000


@EACH
def test_the_urls_are_those_that_bus_and_n8n_have_by_default(workflow):
    bus = f"127.0.0.1:{BusSettings.model_fields['flower_port'].default}"

    used = set(re.findall(r"127\.0\.0\.1:\d+", json.dumps(workflow)))
    assert bus in used
    assert used <= {bus, "127.0.0.1:5678"}


def test_the_message_goes_to_the_queue_of_its_task():
    (workflow,) = [param.values[0] for param in WORKFLOWS if param.id == "2-rabbitmq"]
    (node,) = nodes(workflow, "rabbitmq")
    ((task, _),) = calls(workflow)

    assert node["parameters"] == {"queue": Bus().registry[task].plugin, "options": {}}


def test_the_webhook_has_the_path_that_is_submitted_and_wants_the_header():
    (workflow,) = [p.values[0] for p in WORKFLOWS if p.id == "4-webhook-with-header-auth"]
    (node,) = nodes(workflow, "webhook")

    assert node["parameters"]["authentication"] == "headerAuth"
    for text in (json.dumps(nodes(workflow, "set")), PAGE):
        assert set(re.findall(r"/webhook/([\w-]+)", text)) == {node["parameters"]["path"]}
    (token,) = [c for c in CREDENTIALS if c["type"] == "httpHeaderAuth"]
    source = (ROOT / "core/src/menos_bus/callbacks/task.py").read_text()
    assert f'"{token["data"]["name"].lower()}"' in source


@EACH
def test_credentials_are_told_by_name_and_are_those_of_the_example(workflow):
    known = {(credential["type"], credential["name"]) for credential in CREDENTIALS}

    for node in nodes(workflow):
        for kind, credential in node.get("credentials", {}).items():
            assert credential["id"] is None
            assert (kind, credential["name"]) in known
            assert credential["name"] in notes(workflow)["Read me"]
            assert f"`{credential['name']}`" in PAGE


@pytest.mark.parametrize("path", [pytest.param(p, id=p.name) for p in FOLDER.iterdir()])
def test_no_file_has_a_secret_or_a_path_of_a_machine(path: Path):
    text = path.read_text()

    assert not re.search(r"/(work|home|root|tmp|Users)/", text)
    assert not re.search(r"whsec_|Basic [A-Za-z0-9+/]{8,}|Bearer ", text)
    passwords = re.findall(r'"(?:password|value)": "([^"=]+)"', text)
    assert set(passwords) <= {"PASSWORD", "TOKEN"}


def test_the_example_of_the_credentials_has_the_caller_of_the_bus():
    (basic,) = [c for c in CREDENTIALS if c["type"] == "httpBasicAuth"]

    assert basic["data"]["user"] == BusSettings.model_fields["caller_user"].default
