"""What cannot be used, sent to a real bus: who sent it is told, and nothing of it is kept."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

import menos_content.plugin
import menos_search.plugin
import menos_youtube.plugin
from menos_bus import Bus, BusSettings, InvalidCall
from running import RunningBus, clean_environment, poll, start_bus

PLUGINS = (menos_content.plugin, menos_search.plugin, menos_youtube.plugin)
NOBODY = "0" * 32
LONG = "a" * 5_000_001
Send = Callable[[RunningBus, bytes], tuple[int, str]]


@pytest.fixture(scope="module")
def bus(model, tmp_path_factory):
    bus = start_bus(clean_environment(tmp_path_factory.mktemp("bad") / "home"))
    yield bus
    bus.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that somebody may have."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "large.txt").write_bytes(b"a" * 100_000_000)
    (folder / "binary.bin").write_bytes(bytes(range(256)) * 20)
    (folder / "latin1.txt").write_bytes("Café".encode("latin-1"))
    (folder / "empty.txt").touch()
    yield folder
    (folder / "large.txt").unlink()


def kept(bus: RunningBus) -> tuple[int, int, list[Path]]:
    """Contents, passages and files among the objects."""
    stats = bus.result("tasks.vault_stats")
    objects = bus.home / "vault" / "objects"
    files = [path for path in objects.rglob("*") if path.is_file()]
    return stats["contents"], stats["chunks"], files


def depths(bus: RunningBus) -> list[dict[str, int]]:
    return list(bus.request("GET", "/api/queues/length").json()["active_queues"])


BAD = [
    ("tasks.nope", {}, 404, "tasks.nope"),
    ("celery.backend_cleanup", {}, 404, "celery.backend_cleanup"),
    ("tasks.semantic_search", {"args": ["x"], "kwargs": {"limit": "many"}}, 422, "limit"),
    ("tasks.semantic_search", {"args": ["x"], "kwargs": {"limit": 0}}, 422, "limit"),
    ("tasks.semantic_search", {"kwargs": {"limit": 3}}, 422, "query"),
    ("tasks.semantic_search", {"args": ["x"], "kwargs": {"colour": "red"}}, 422, "colour"),
    ("tasks.semantic_search", {"args": ["   "]}, 422, "query"),
    ("tasks.semantic_search", {"args": ["x"], "queue": "ghost"}, 422, "queue"),
    ("tasks.semantic_search", {"args": ["x"], "serializer": "pickle"}, 422, "serializer"),
    ("tasks.semantic_search", {"args": ["x"], "link": "tasks.nope"}, 422, "link"),
    ("tasks.semantic_search", {"args": {"query": "x"}}, 422, "args"),
    ("tasks.semantic_search", {"args": ["x" * 10_001]}, 422, "query"),
    (
        "tasks.semantic_search",
        {"args": ["x"], "kwargs": {"callback_url": "http://127.0.0.1/x"}},
        422,
        "callback_url",
    ),
    ("tasks.store_content", {"args": ["", "Title"]}, 422, "text"),
    ("tasks.store_content", {"args": [" \n ", "Title"]}, 422, "text"),
    ("tasks.store_content", {"args": ["x" * 5_000_001, "Title"]}, 422, "text"),
    ("tasks.store_content", {"args": ["text"]}, 422, "title"),
    (
        "tasks.process_content",
        {"args": ["c" * 32], "kwargs": {"operations": ["fly"]}},
        422,
        "operations",
    ),
    ("tasks.ingest_youtube", {"args": [["a"]]}, 422, "url"),
]


@pytest.mark.parametrize(("task", "body", "status", "named"), BAD)
def test_bad_input_at_the_door_is_named_and_not_queued(bus, task, body, status, named):
    answer = bus.request("POST", f"/api/task/async-apply/{task}", json=body)

    assert answer.status_code == status
    assert named in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text
    assert all(q["messages"] == q["running"] == 0 for q in depths(bus))


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff\xfe", b'{"args": [1}'])
def test_a_body_that_is_no_json_object_is_refused(bus, body):
    answer = bus.request("POST", "/api/task/async-apply/tasks.semantic_search", content=body)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_call"


def test_a_wrong_password_is_refused(bus):
    answer = bus.request(
        "POST", "/api/task/async-apply/tasks.semantic_search", json={}, auth=("menos", "no")
    )

    assert answer.status_code == 401
    assert "password" in answer.json()["error"]["message"]


def test_a_web_page_of_another_site_cannot_call(bus):
    answer = bus.request(
        "POST",
        "/api/task/async-apply/tasks.semantic_search",
        json={"args": ["x"]},
        headers={"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    )

    assert answer.status_code == 403


def test_an_unknown_task_id_is_404_and_exit_code_2(bus):
    assert bus.request("GET", "/api/task/result/nope").status_code == 404
    asked = bus.cli("result", "nope")
    assert asked.returncode == 2
    assert "'nope'" in asked.stderr


def at_flower(bus: RunningBus, arguments: bytes) -> tuple[int, str]:
    answer = bus.request(
        "POST",
        "/api/task/async-apply/tasks.store_content",
        content=b'{"kwargs": %s}' % arguments,
    )
    return answer.status_code, answer.json()["error"]["message"]


def at_api(bus: RunningBus, arguments: bytes) -> tuple[int, str]:
    told = json.loads((bus.home / "bus.json").read_text())
    answer = httpx.post(
        f"{told['api_url']}/tasks/tasks.store_content",
        content=arguments,
        headers={"Authorization": f"Bearer {told['caller_password']}"},
        timeout=60,
        trust_env=False,
    )
    return answer.status_code, answer.json()["detail"]


@pytest.mark.parametrize("send", [at_flower, at_api])
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(b'{"text": "", "title": "T"}', 422, "text: ", id="nothing"),
        pytest.param(
            b'{"text": " \\n\\ufeff", "title": "T"}', 422, "text: it is empty", id="blank"
        ),
        pytest.param(b'{"text": "a"}', 422, "title: required", id="no title"),
        pytest.param(
            json.dumps({"text": LONG, "title": "T"}).encode(), 422, "5000000", id="too long"
        ),
        pytest.param(b"a" * 100_000_000, 413, "32 MiB", id="100 MB"),
        pytest.param(bytes(range(256)) * 20, 422, "body: invalid JSON", id="binary"),
        pytest.param(
            '{"text": "Café", "title": "T"}'.encode("latin-1"), 422, "body: ", id="not UTF-8"
        ),
    ],
)
def test_a_text_that_cannot_be_is_refused_at_the_door(
    bus, send: Send, arguments: bytes, status: int, said: str
):
    before = kept(bus)

    answered, message = send(bus, arguments)

    assert answered == status
    assert said in message
    assert kept(bus) == before


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("large.txt", "text: string should have at most 5000000 characters"),
        ("binary.bin", "text: {folder}/binary.bin is not UTF-8 text: convert it"),
        ("latin1.txt", "text: {folder}/latin1.txt is not UTF-8 text: convert it"),
        ("empty.txt", "text: string should have at least 1 character"),
        ("missing.txt", "text: cannot read the file {folder}/missing.txt"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_the_command(bus, folder, file, said):
    before = kept(bus)

    refused = bus.cli("call", "tasks.store_content", f"@{folder / file}", "T")

    assert refused.returncode == 2
    assert said.format(folder=folder) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert kept(bus) == before


def test_a_content_that_is_not_there_is_named_and_what_was_to_change_it_a_dead_letter(bus):
    before = kept(bus)
    calls = {
        task: bus.submit(task, NOBODY)
        for task in (
            "tasks.process_content",
            "tasks.show_content",
            "tasks.delete_content",
            "tasks.similar_content",
        )
    }

    errors = {task: bus.outcome(task_id, timeout=60)["error"] for task, task_id in calls.items()}

    for error in errors.values():
        assert (error["code"], error["tries"]) == ("content_not_found", 1)
        assert NOBODY in error["message"]
    dead = {letter["id"]: letter for letter in json.loads(bus.cli("dead", "list", "--json").stdout)}
    for task in ("tasks.process_content", "tasks.delete_content"):
        assert dead[calls[task]]["reason"] == errors[task]["message"]
    for task in ("tasks.show_content", "tasks.similar_content"):
        assert calls[task] not in dead
    deleted = bus.cli("vault", "delete", NOBODY, "--yes")
    assert deleted.returncode == 1
    assert "content_not_found" in deleted.stderr
    assert kept(bus) == before


def test_no_parameter_of_a_task_answers_with_a_regular_expression(clean_env):
    bus = Bus(BusSettings.load(home=clean_env["MENOS_HOME"]), PLUGINS)
    told = {}
    for spec in bus.registry.values():
        for name, schema in spec.signature.parameters_schema["properties"].items():
            if '"pattern":' in json.dumps(schema):
                for wrong in ("?!", ["?!"]):
                    with pytest.raises(InvalidCall) as refused:
                        spec.signature.validate({name: wrong})
                    told[f"{spec.name} {name} {wrong}"] = [
                        problem.reason
                        for problem in refused.value.problems
                        if problem.field.startswith(name)
                    ]

    assert any(place.startswith("tasks.store_content url") for place in told)
    assert {place: said for place, said in told.items() if "pattern" in str(said)} == {}


@pytest.fixture
def disk(tmp_path):
    """A disk of 16 MB; whoever may not make one leaves this to others."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(ballast: Path) -> None:
    """Write until nothing more fits on the disk."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_is_told_and_the_call_is_done_when_there_is_space(model, disk, tmp_path):
    env = clean_environment(tmp_path / "home")
    objects = {"MENOS_VAULT_OBJECTS": str(disk / "objects")}
    bus = start_bus({**env, **objects, "MENOS_MAX_RETRIES": "1"})
    try:
        old = bus.result("tasks.store_content", "Bees dance.", "Bees", resource_key="doc:bees")
        bus.result("tasks.process_content", old["content_id"], ["embed"])
        ballast = disk / "ballast"
        fill(ballast)

        new = bus.submit("tasks.store_content", "Owls hear. " * 1000, "Owls")
        changed = bus.submit(
            "tasks.store_content", "Bees hum. " * 1000, "Bees", resource_key="doc:bees"
        )
        errors = [bus.outcome(task_id, timeout=60)["error"] for task_id in (new, changed)]

        assert [(error["code"], error["tries"]) for error in errors] == [
            ("objects_unavailable", 2)
        ] * 2
        assert all("No space left on device; check the disk" in e["message"] for e in errors)
        assert bus.result("tasks.vault_stats")["contents"] == 1
        shown = bus.result("tasks.show_content", old["content_id"], text=True)
        assert shown["text"] == "Bees dance."
        [found] = bus.result("tasks.semantic_search", "insects")["results"]
        assert found["text"] == "Bees dance."
        files = [path for path in (disk / "objects").rglob("*") if path.is_file()]
        assert [path.name for path in files] == ["text.txt"]

        ballast.unlink()
        assert bus.cli("dead", "replay", new, changed).returncode == 0
        stored = [replayed(bus, task_id)["content_id"] for task_id in (new, changed)]
        assert stored[1] == old["content_id"]
        for content_id in stored:
            done = bus.result("tasks.process_content", content_id, ["embed"])
            assert done == {"embed": "completed"}
        assert bus.result("tasks.semantic_search", "owls")["results"][0]["title"] == "Owls"
    finally:
        bus.close()


def replayed(bus: RunningBus, task_id: str) -> dict[str, str]:
    poll(lambda: bus.outcome(task_id)["state"] == "SUCCESS", what="the replayed call")
    return dict(bus.outcome(task_id)["result"])
