"""The main job over HTTP: store, embed, summarise, search; what it answers to bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from running import MENOS_BUS, ROOT, RunningBus, poll

TOPICS = {
    "bees": "Honey bees dance to tell their sisters where the flowers are.",
    "bread": "Sourdough bread rises because wild yeast ferments the flour.",
    "tides": "The gravity of the moon pulls the sea, and so the tides rise and fall.",
    "locks": "A canal lock lifts a boat by letting water in behind closed gates.",
}


pytestmark = pytest.mark.usefixtures("model")


def store(bus: RunningBus, name: str, text: str) -> str:
    stored = bus.result(
        "tasks.store_content",
        text=text,
        title=f"About {name}",
        resource_key=f"test:{name}",
        content_type="markdown",
    )
    assert stored["status"] == "success"
    return str(stored["content_id"])


def chunks(bus: RunningBus) -> int:
    """Chunks in the vault, seen through a search for everything."""
    return len(bus.result("tasks.semantic_search", "anything", limit=100)["results"])


def test_a_stored_text_is_embedded_summarised_and_found(start):
    bus = start()
    ids = {name: store(bus, name, text) for name, text in TOPICS.items()}
    for content_id in ids.values():
        outcome = bus.result("tasks.process_content", content_id, operations=["embed", "summarize"])
        assert outcome == {"embed": "completed", "summarize": "completed"}

    answer = bus.result("tasks.semantic_search", "why does the sea level change?", limit=2)

    assert answer["query"] == "why does the sea level change?"
    best = answer["results"][0]
    assert best["content_id"] == ids["tides"]
    assert best["title"] == "About tides"
    assert "moon" in best["text"]
    assert best["score"] > answer["results"][1]["score"]


def test_the_curl_of_an_existing_workflow_works_with_a_password_added(start):
    bus = start()

    answer = bus.request(
        "POST",
        "/api/task/async-apply/tasks.semantic_search",
        content='{"args": ["machine learning"], "kwargs": {"limit": 5}}',
    )
    result = poll(
        lambda: (r := bus.outcome(answer.json()["task-id"]))["state"] == "SUCCESS" and r,
        what="the result",
    )

    assert result["result"] == {"query": "machine learning", "results": []}


def test_doing_it_all_twice_leaves_what_once_leaves(start):
    bus = start()
    for _ in range(2):
        content_id = store(bus, "bees", TOPICS["bees"])
        bus.result("tasks.process_content", content_id)

    assert chunks(bus) == 1


def test_records_and_vectors_survive_a_restart_and_a_kill(start):
    bus = start()
    bus.result("tasks.process_content", store(bus, "bees", TOPICS["bees"]))
    bus.stop()

    bus = start()
    bus.result("tasks.process_content", store(bus, "bread", TOPICS["bread"]))
    bus.kill()

    assert chunks(start()) == 2


def test_a_folder_of_100_markdown_files_is_searchable_and_progress_is_seen(start, tmp_path):
    bus = start()
    stages: set[str] = set()
    long = "\n\n".join(
        f"## Part {i}\n\nSection {i} of the long handbook tells of topic number {i}, at length, "
        "so that the embedding of it takes a while and somebody can look."
        for i in range(300)
    )
    texts = {f"note{i}": f"# Note {i}\n\nThis one is about the number {i}." for i in range(99)}
    ids = [
        bus.submit("tasks.store_content", text=text, title=name, resource_key=name)
        for name, text in {**texts, "handbook": long}.items()
    ]
    contents = [bus.outcome(task_id, timeout=60)["result"]["content_id"] for task_id in ids]

    tasks = [bus.submit("tasks.process_content", content) for content in contents]

    def finished() -> bool:
        outcome = bus.outcome(tasks[-1])
        stages.add(outcome.get("progress", {}).get("stage", ""))
        return outcome["state"] == "SUCCESS"

    poll(finished, 120, "the handbook")
    for task_id in tasks:
        assert bus.outcome(task_id, timeout=60)["state"] == "SUCCESS"
    assert stages - {""}, "no progress was seen"
    found = bus.result("tasks.semantic_search", "the note about the number 42", limit=3)
    assert "note42" in [hit["title"] for hit in found["results"]]


def test_a_file_is_read_where_the_caller_is(start, tmp_path):
    bus = start()
    file = tmp_path / "notes.md"
    file.write_text("# Notes\n\nOwls hunt at night.")

    stored = bus.cli("call", "tasks.store_content", f"@{file}", "Notes on owls")

    assert stored.returncode == 0, stored.stderr
    content_id = json.loads(stored.stdout)["content_id"]
    done = bus.cli("call", "tasks.process_content", content_id, "--operations", "embed")
    assert json.loads(done.stdout) == {"embed": "completed"}
    found = bus.cli("call", "tasks.semantic_search", "nocturnal birds", "--limit", "5")
    assert json.loads(found.stdout)["results"][0]["content_id"] == content_id


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
    ("tasks.semantic_search", {"args": ["x" * 3000]}, 422, "query"),
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


@pytest.fixture(scope="module")
def shared_bus(tmp_path_factory):
    """One bus for all bad input: nothing of it may harm it."""
    home = tmp_path_factory.mktemp("shared") / "home"
    env = {name: value for name, value in os.environ.items() if not name.startswith("MENOS_")}
    env |= {"MENOS_HOME": str(home), "MENOS_FLOWER_PORT": "0", "MENOS_API_PORT": "0"}
    process = subprocess.Popen(
        [MENOS_BUS, "up", "--json"], env=env, stdout=subprocess.PIPE, text=True
    )
    told = json.loads(process.stdout.readline())
    bus = RunningBus(home, env, process, told["url"], told["user"], told["password"])
    yield bus
    bus.kill()
    process.stdout.close()


@pytest.mark.parametrize(("task", "body", "status", "named"), BAD)
def test_bad_input_at_the_door_is_named_and_not_queued(shared_bus, task, body, status, named):
    answer = shared_bus.request("POST", f"/api/task/async-apply/{task}", json=body)

    assert answer.status_code == status
    assert named in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text
    assert all(q["messages"] == q["running"] == 0 for q in _depths(shared_bus))


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff\xfe", b'{"args": [1}'])
def test_a_body_that_is_no_json_object_is_refused(shared_bus, body):
    answer = shared_bus.request("POST", "/api/task/async-apply/tasks.semantic_search", content=body)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_call"


def test_a_wrong_password_is_refused(shared_bus):
    answer = shared_bus.request(
        "POST", "/api/task/async-apply/tasks.semantic_search", json={}, auth=("menos", "no")
    )

    assert answer.status_code == 401
    assert "password" in answer.json()["error"]["message"]


def test_a_web_page_of_another_site_cannot_call(shared_bus):
    answer = shared_bus.request(
        "POST",
        "/api/task/async-apply/tasks.semantic_search",
        json={"args": ["x"]},
        headers={"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    )

    assert answer.status_code == 403


def test_an_unknown_content_id_is_a_failure_with_a_code(shared_bus):
    outcome = shared_bus.outcome(shared_bus.submit("tasks.process_content", "0" * 32), timeout=60)

    assert outcome["state"] == "FAILURE"
    assert outcome["error"]["code"] == "content_not_found"
    assert outcome["error"]["tries"] == 1


def test_an_unknown_task_id_is_404_and_exit_code_2(shared_bus):
    assert shared_bus.request("GET", "/api/task/result/nope").status_code == 404
    asked = shared_bus.cli("result", "nope")
    assert asked.returncode == 2
    assert "'nope'" in asked.stderr


def test_files_that_cannot_be_read_are_named_by_the_command_line(shared_bus, tmp_path):
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")

    missing = shared_bus.cli("call", "tasks.store_content", f"@{tmp_path}/no.md", "T")
    no_text = shared_bus.cli("call", "tasks.store_content", f"@{binary}", "T")

    for refused, said in ((missing, "no.md"), (no_text, "not UTF-8 text")):
        assert refused.returncode == 2
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr


def test_the_demo_answers_questions_and_exits_0(clean_env, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in TOPICS.items():
        (notes / f"{name}.md").write_text(f"# On {name}\n\n{text}\n")

    demo = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", notes],
        env={**clean_env, "QUESTIONS": "how do insects talk?; what makes dough rise?"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "On bees" in demo.stdout
    assert "On bread" in demo.stdout


def test_the_demo_says_what_failed_and_exits_1(clean_env, tmp_path):
    demo = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", str(tmp_path / "nothing")],
        env=clean_env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert demo.returncode == 1
    assert "no such file" in demo.stdout


def _depths(bus: RunningBus) -> list[dict[str, int]]:
    return list(bus.request("GET", "/api/queues/length").json()["active_queues"])
