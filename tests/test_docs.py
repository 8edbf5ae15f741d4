"""README and docs are run: their commands against a real bus, their Python as it stands; of the
packages' READMEs the Python.

How a page's commands (```console and ```sh blocks) are run, in order, in one folder:

* ``$BUS_URL``, ``$API_URL``, ``$BUS_LOGIN`` and ``$BUS_TOKEN`` (both the callers') and
  ``$OPERATOR_LOGIN`` are those of the test's bus, whatever the page sets them to;
* ``TASK_ID`` and ``CONTENT_ID`` are the last ones that a command printed, and a command with
  ``TASK_ID`` is run when that task has ended;
* ``# exit code N`` at the end of a command says how it ends, 0 without it;
* each line that the page shows as output has to come, in this order; ids and numbers with a
  decimal point may differ, ``…`` stands for anything, and lines may be left out;
* commands that begin as in ``NOT_RUN`` are not run.

How its Python is run: a block whose first line (or fence) names a file is that file. Files named
``test_….py`` are run with pytest, all others are imported by them; a block without a name is run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

import pytest

import forked
from running import MENOS_BUS, ROOT, RunningBus

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
READMES = [ROOT / "core/README.md", *sorted(ROOT.glob("plugins/*/README.md"))]
"""Those of packages; the vault's is run by its own tests."""
NOT_RUN = {
    "make ": "sets up the whole repository; `make test` runs this very test",
    "pip install": "from the network; tests/test_install_matrix.py installs the packages",
    "python3 -m venv": "the packages are installed already",
    ". .venv/bin/activate": "the packages are installed already",
    "menos-bus up": "the test has started it",
    "menos-bus call tasks.ingest_youtube": "from the network",
}
_FENCE = re.compile(r"^```(\w*)[ ]?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ANY = re.compile(rf"({_UUID})|(\b[0-9a-f]{{32}}\b)|(\d+\.\d+\b)|(…)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its file name if it has one, its text."""

    language: str
    name: str
    text: str


@dataclass
class Command:
    """A command of a page, how it ends, and the output that the page shows."""

    line: str
    code: int
    shown: list[str]


def blocks(page: Path, *languages: str) -> list[Block]:
    found = []
    for language, name, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        first = text.partition("\n")[0]
        if language == "python" and not name and re.fullmatch(r"# \w+\.py", first):
            name = first.removeprefix("# ")
        if language in languages:
            found.append(Block(language, name, text))
    return found


def commands(page: Path) -> list[Command]:
    found: list[Command] = []
    for block in blocks(page, "console", "sh"):
        for line in block.text.splitlines():
            if block.language == "sh" or line.startswith("$ "):
                line, _, remark = line.removeprefix("$ ").partition("  # ")
                code = re.match(r"exit code (\d+)", remark)
                if line.strip():
                    found.append(Command(line.strip(), int(code[1]) if code else 0, []))
            elif line.strip():
                found[-1].shown.append(line)
    return found


def is_run(command: Command) -> bool:
    # A page may show how such a command is refused; that needs nothing from the network.
    return command.code != 0 or not command.line.startswith(tuple(NOT_RUN))


def by_name(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def squeezed(text: str) -> str:
    return " ".join(text.split())


def pattern(shown: str) -> re.Pattern[str]:
    """What a shown line matches."""
    parts, end = [], 0
    text = squeezed(shown)
    for found in _ANY.finditer(text):
        kind = found.lastindex or 0
        parts.append(re.escape(text[end : found.start()]))
        parts.append((_UUID, "[0-9a-f]{32}", r"\d+(?:\.\d+)?", ".*")[kind - 1])
        end = found.end()
    return re.compile("".join([*parts, re.escape(text[end:])]))


class Shell:
    """Runs a page's commands one after the other."""

    def __init__(self, bus: RunningBus, folder: Path) -> None:
        self.bus = bus
        self.folder = folder
        self.task_id = self.content_id = ""
        path = os.pathsep.join([str(MENOS_BUS.parent), os.environ["PATH"]])
        self.env = {**bus.env, "PATH": path, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def run(self, command: Command) -> None:
        if re.match(r"MENOS_(URL|LOGIN)=\S+$", command.line):
            return
        line = command.line.replace("CONTENT_ID", self.content_id)
        if "TASK_ID" in line:
            self.bus.outcome(self.task_id, timeout=120)
            line = line.replace("TASK_ID", self.task_id)
        if line.startswith("curl "):
            line = f"curl -sS {line.removeprefix('curl ')}"
        # Not exported, as on the page: they are the shell's, not settings.
        told = json.loads((self.bus.home / "bus.json").read_text())
        known = {
            "BUS_URL": self.bus.url,
            "API_URL": told["api_url"],
            "BUS_LOGIN": f"{told['caller_user']}:{told['caller_password']}",
            "BUS_TOKEN": told["caller_password"],
            "OPERATOR_LOGIN": f"{self.bus.user}:{self.bus.password}",
        }
        script = "".join(f"{name}={shlex.quote(value)}\n" for name, value in known.items()) + line
        code, output = self.execute(line, script)
        said = f"$ {line}\n{output}"
        assert code == command.code, said
        self.compare(command, output, said)
        for found in re.finditer(rf'"task[-_]id": "({_UUID})"|^({_UUID})$', output, re.M):
            self.task_id = found[1] or found[2]
        for found in re.finditer(r'"content_id": "([0-9a-f]{32})"', output):
            self.content_id = found[1]
        if '"state": "SUCCESS"' in output or '"state": "PENDING"' in output:
            return
        assert command.shown or '"error"' not in output, f"an error that is not shown: {said}"

    def execute(self, line: str, script: str) -> tuple[int, str]:
        """Run a script, or its line alone if that needs no shell; gives exit code and output."""
        with TemporaryFile("w+") as output:
            streams = {"stdout": output.fileno(), "stderr": output.fileno()}
            process: forked.Command | subprocess.Popen[bytes]
            if line.startswith("menos-bus ") and not set(line) & set("$|&;<>`"):
                words = shlex.split(line)[1:]
                process = forked.Command(*words, env=self.env, cwd=self.folder, **streams)
            else:
                bash = ["bash", "-c", script]
                process = subprocess.Popen(bash, env=self.env, cwd=self.folder, **streams)
            try:
                code = process.wait(200)
            finally:
                process.kill()
            output.seek(0)
            return code, output.read()

    def compare(self, command: Command, output: str, said: str) -> None:
        rest = iter(output.splitlines())
        for shown in command.shown:
            wanted = pattern(shown)
            assert any(wanted.fullmatch(squeezed(line)) for line in rest), (
                f"{shown!r} not in\n{said}"
            )


@pytest.mark.skipif(not shutil.which("curl"), reason="the pages call the bus with curl")
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("page", by_name([p for p in PAGES if any(map(is_run, commands(p)))]))
def test_the_commands_of_a_page_do_what_it_says(page, start, install, tmp_path):
    # The README has it installed, maybe in this very environment: only pages that name it load it.
    install("hello", (ROOT / "examples/menos-hello/menos_hello.py").read_text())
    named = ["hello"] if "menos-hello" in page.read_text() else []
    plugins = [*sorted(file.parent.name for file in ROOT.glob("plugins/*/pyproject.toml")), *named]
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copy(ROOT / "README.md", folder)
    shell = Shell(start(MENOS_PLUGINS=",".join(plugins)), folder)

    for command in filter(is_run, commands(page)):
        shell.run(command)


WITH_PYTHON = [page for page in (*PAGES, *READMES) if blocks(page, "python")]


@pytest.mark.parametrize("page", by_name(WITH_PYTHON))
def test_the_python_of_a_page_runs(page, clean_env, tmp_path):
    shown = blocks(page, "python")
    for block in shown:
        if block.name:
            (tmp_path / block.name).write_text(block.text)
    tests = [block.name for block in shown if block.name.startswith("test_")]
    # Of the plugins of pytest that happen to be here, none is what the pages are about.
    alone = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    env = {**clean_env, **alone}

    for block in shown:
        if not block.name:
            subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, env=env, check=True)
    if tests:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", by_name(WITH_PYTHON))
def test_a_file_of_a_page_has_a_name_of_its_own(page):
    names = [block.name for block in blocks(page, "python") if block.name]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("file", ["pyproject.toml", "menos_hello.py"])
def test_the_complete_plugin_on_the_page_is_the_one_in_examples(file):
    kind = "toml" if file.endswith("toml") else "python"
    page = blocks(ROOT / "docs" / "plugins.md", kind)[0]

    assert page.text == (ROOT / "examples" / "menos-hello" / file).read_text()


@pytest.mark.parametrize("page", by_name([*PAGES, *READMES]))
def test_every_link_of_a_page_leads_somewhere(page):
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_on_the_map():
    index = (ROOT / "docs" / "index.md").read_text()

    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index
