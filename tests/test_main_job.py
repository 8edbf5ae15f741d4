"""The main job over HTTP: store, embed, summarise, search."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import ROOT, RunningBus, clean_environment, poll, start_bus

TOPICS = {
    "bees": "Honey bees dance to tell their sisters where the flowers are.",
    "bread": "Sourdough bread rises because wild yeast ferments the flour.",
    "tides": "The gravity of the moon pulls the sea, and so the tides rise and fall.",
    "locks": "A canal lock lifts a boat by letting water in behind closed gates.",
}


pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture(scope="module")
def bus(model: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBus]:
    """A bus with all plugins for the tests that neither stop it nor need an empty vault."""
    bus = start_bus(clean_environment(tmp_path_factory.mktemp("shared") / "home"))
    yield bus
    bus.close()


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


def test_a_stored_text_is_embedded_summarised_and_found(bus):
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


def test_a_folder_of_100_markdown_files_is_searchable_and_progress_is_seen(bus):
    stages: set[str] = set()
    long = "\n\n".join(
        f"## Part {i}\n\nSection {i} of the long handbook tells of topic number {i}, at length, "
        "so that the embedding of it takes a while and somebody can look."
        for i in range(150)
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


def test_a_file_is_read_where_the_caller_is(bus, tmp_path):
    file = tmp_path / "notes.md"
    file.write_text("# Notes\n\nOwls hunt at night.")

    stored = bus.cli("call", "tasks.store_content", f"@{file}", "Notes on owls")

    assert stored.returncode == 0, stored.stderr
    content_id = json.loads(stored.stdout)["content_id"]
    done = bus.cli("call", "tasks.process_content", content_id, "--operations", "embed")
    assert json.loads(done.stdout) == {"embed": "completed"}
    found = bus.cli("call", "tasks.semantic_search", "nocturnal birds", "--limit", "5")
    assert json.loads(found.stdout)["results"][0]["content_id"] == content_id


def test_the_demo_answers_questions_and_exits_0(clean_env, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in TOPICS.items():
        (notes / f"{name}.md").write_text(f"# On {name}\n\n{text}\n")

    demo = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", notes],
        env={**clean_env, "QUESTIONS": "how do insects talk?; what makes dough rise?"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "On bees" in demo.stdout
    assert "On bread" in demo.stdout
    assert ".menos-demo" in demo.stdout
    assert (tmp_path / ".menos-demo").is_dir()
    assert not Path(clean_env["MENOS_HOME"]).exists()


def test_the_demo_asks_each_title_once(clean_env, tmp_path):
    for name, text in TOPICS.items():
        (tmp_path / f"{name}.md").write_text(f"# Notes\n\n{text}\n")

    demo = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", *sorted(tmp_path.glob("*.md"))],
        env=clean_env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stdout.count("╭─ Notes") == 1


def test_nothing_that_the_demo_stores_repeats_its_questions():
    demo = runpy.run_path(str(ROOT / "examples" / "demo.py"))

    texts = [document["kwargs"]["text"] for document in demo["_read"](demo["SOURCES"])]

    assert len(texts) > 1
    assert [q for q in demo["QUESTIONS"] for text in texts if q in text] == []


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
    assert "no such file" in " ".join(demo.stdout.split())
