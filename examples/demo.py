"""The main job as a workflow tool would do it: over HTTP, with a URL and a password.

Starts a bus on the data folder .menos-demo, stores documents, has them embedded and summarised, and
asks questions. Every step is a call at Flower's door, and every result is polled.

    python examples/demo.py                     # this repository's docs
    python examples/demo.py notes/ report.md    # your files and folders
    python examples/demo.py https://www.youtube.com/watch?v=…
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from menos_content.text_files import LeftOut, files_of, line_of

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(".menos-demo")
"""The data folder: what is tried out here does not get into anybody's vault."""
SOURCES = [str(page) for page in sorted((ROOT / "docs").glob("*.md"))]
"""Not the README: it shows the demo's output, and so would be the best answer to itself."""
QUESTIONS = [
    "How do I write a plugin of my own?",
    "How can a workflow wait for the result of a task?",
    "How do I know that a callback is really from my bus?",
]
PATIENCE = 60.0
"""Seconds after which a step that waits for another try counts as failed here; the bus goes on."""
console = Console()


class Failed(Exception):
    """A step did not succeed."""


class Bus:
    """The door: submit a task, poll its result."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, auth=(user, password), timeout=60, trust_env=False)

    def submit(self, task: str, **kwargs: Any) -> str:
        answer = self.http.post(f"/api/task/async-apply/{task}", json={"kwargs": kwargs})
        if answer.status_code != 200:
            raise Failed(f"{task}: {_message(answer)}")
        return str(answer.json()["task-id"])

    def poll(self, task_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/task/result/{task_id}")
        if answer.status_code != 200:
            raise Failed(_message(answer))
        return dict(answer.json())

    def run(self, task: str, **kwargs: Any) -> Any:
        task_id = self.submit(task, **kwargs)
        while (outcome := self.poll(task_id))["state"] not in ("SUCCESS", "FAILURE", "REVOKED"):
            time.sleep(0.05)
        return _result(task, outcome)


def main(sources: list[str]) -> int:
    questions = [q.strip() for q in os.environ.get("QUESTIONS", "").split(";") if q.strip()]
    documents = list(_read(sources or SOURCES))
    if not documents:
        raise Failed(f"no text files in {', '.join(sources)}")
    started = time.monotonic()
    with _bus() as bus:
        contents = _ingest(bus, documents)
        if not questions:
            titles = dict.fromkeys(title for _, title in contents)
            questions = list(titles)[:3] if sources else QUESTIONS
        for question in questions:
            _ask(bus, question)
    console.print(
        f"[green]Done[/]: {len(documents)} document(s) stored, embedded and searched "
        f"in {time.monotonic() - started:.1f} s."
    )
    console.print(
        f"All of it is in the data folder {HOME}, and nothing in a vault of yours.\n"
        f"Delete the folder, or go on with it: MENOS_HOME={HOME} make up"
    )
    return 0


def _read(sources: list[str]) -> Iterator[dict[str, Any]]:
    """The calls to make, one per document; files are read here, never by the worker."""
    for source in sources:
        if source.startswith(("http://", "https://")):
            yield {"task": "tasks.ingest_youtube", "name": source, "kwargs": {"url": source}}
            continue
        path = Path(source)
        if not path.exists():
            raise Failed(f"{source}: no such file or folder")
        for file in files_of(path):
            try:
                line = line_of(file)
            except LeftOut as why:
                console.print(f"[yellow]left out[/] {file}: {why}")
            else:
                yield {"task": "tasks.store_content", "name": file.name, "kwargs": line}


def _ingest(bus: Bus, documents: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Store and process every document; returns content ids and titles."""
    contents: list[tuple[str, str]] = []
    started = time.monotonic()
    with Progress(
        TextColumn("{task.description:<44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as bars:
        bar = bars.add_task("storing and embedding", total=2 * len(documents))
        waiting = {
            bus.submit(doc["task"], **doc["kwargs"]): (doc["task"], doc["name"])
            for doc in documents
        }
        titles: dict[str, str] = {}
        while waiting:
            for task_id, (task, name) in list(waiting.items()):
                outcome = bus.poll(task_id)
                if outcome["state"] == "RETRY" and time.monotonic() - started > PATIENCE:
                    raise Failed(f"{name} is still being retried: {outcome['error']['message']}")
                if progress := outcome.get("progress"):
                    done, total = progress["done"], progress["total"] or "?"
                    said = f"{name}: {progress['stage']} {done}/{total}"
                    bars.update(bar, description=said[:44])
                if outcome["state"] not in ("SUCCESS", "FAILURE", "REVOKED"):
                    continue
                result = _result(f"{task} ({name})", outcome)
                del waiting[task_id]
                bars.advance(bar)
                if task == "tasks.process_content":
                    if "errors" in result:
                        raise Failed(f"{name}: {result}")
                    continue
                titles[result["content_id"]] = result["title"]
                contents.append((result["content_id"], result["title"]))
                process = "tasks.process_content"
                operations = ["embed", "summarize"]
                new = bus.submit(process, content_id=result["content_id"], operations=operations)
                waiting[new] = (process, name)
            time.sleep(0.05)
        bars.update(bar, description="stored and embedded")
    return contents


def _ask(bus: Bus, question: str) -> None:
    answers = bus.run("tasks.semantic_search", query=question, limit=3)["results"]
    if not answers:
        raise Failed(f"no answer to {question!r}")
    lines = []
    for answer in answers:
        passage = " ".join(answer["text"].split())
        passage = passage if len(passage) < 260 else passage[:257] + "…"
        lines.append(f"[bold]{answer['score']:.3f}  {escape(answer['title'])}[/]")
        lines.append(f"       {escape(passage)}")
        if "url" in answer:
            lines.append(f"       {escape(answer['url'])}")
    console.print(Panel("\n".join(lines), title=escape(question), title_align="left"))


@contextmanager
def _bus() -> Iterator[Bus]:
    """The bus that runs on the demo's data folder, else one for as long as this runs."""
    command = [str(Path(sys.executable).with_name("menos-bus")), "up", "--json"]
    environment = {"MENOS_FLOWER_PORT": "0", "MENOS_API_PORT": "0", **os.environ}
    environment["MENOS_HOME"] = str(HOME)
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            # A Ctrl-C here is for the demo, which then stops the bus in good order.
            start_new_session=True,
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.readline() or "{}")
        if "url" in told:
            console.print(f"The bus is up at {told['url']} (user {told['user']})")
        elif told.get("error", {}).get("code") == "already_running":
            told = json.loads((HOME / "bus.json").read_text())
            console.print(f"Using the bus that runs at {told['url']}")
        else:
            process.wait(30)
            log.seek(0)
            raise Failed(log.read().strip() or "menos-bus up ended")
        try:
            yield Bus(told["url"], told["user"], told["password"])
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(60)


def _result(what: str, outcome: dict[str, Any]) -> Any:
    if outcome["state"] != "SUCCESS":
        error = outcome.get("error", {})
        raise Failed(f"{what}: {error.get('message', outcome['state'])} ({error.get('code')})")
    return outcome["result"]


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError):
        return f"HTTP {answer.status_code}"


if __name__ == "__main__":
    # As Ctrl-C does: whoever terminates the demo means its bus, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as failed:
        console.print(f"[red]Failed[/]: {escape(str(failed))}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
