"""What the docs list is what the code has: hooks, settings, error codes."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from collections.abc import Iterator
from types import ModuleType

import pytest

from menos_bus.bus import Bus
from menos_bus.plugins.hookspecs import HookSpecs
from menos_bus.settings import BusSettings
from running import ROOT

PACKAGES = ["core", "vault", "plugins/youtube", "plugins/content", "plugins/search"]
HOOKS = {name: function for name, function in vars(HookSpecs).items() if not name.startswith("_")}


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented_with_its_exact_arguments_and_a_tested_example(hook):
    page = (ROOT / "docs" / "hooks.md").read_text()
    arguments = [name for name in inspect.signature(HOOKS[hook]).parameters if name != "self"]

    section = re.search(
        rf"^## `{hook}\({', '.join(arguments)}\)`$(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE
    )

    assert section, f"docs/hooks.md has no section `{hook}({', '.join(arguments)})`"
    assert "**Fires**" in section[1]
    assert "**Policy**" in section[1]
    assert f"@hookimpl\ndef {hook}(" in section[1]
    assert re.search(r"^# test_\w+\.py$", section[1], re.MULTILINE)


def test_no_hook_is_documented_that_does_not_exist():
    documented = re.findall(r"^## `(\w+)\(", (ROOT / "docs" / "hooks.md").read_text(), re.MULTILINE)

    assert sorted(documented) == sorted(HOOKS)


@pytest.mark.parametrize(
    ("file", "function"), [("docs/settings.md", "settings_page"), (".env.example", "env_example")]
)
def test_a_generated_file_is_up_to_date(generator, file, function):
    text = getattr(generator, function)()

    assert (ROOT / file).read_text() == text, "run `python docs/generate.py`"


def test_every_setting_has_a_description_and_is_on_the_page(generator):
    page = (ROOT / "docs" / "settings.md").read_text()
    for _, _, cls in generator.SECTIONS:
        for name, field in generator.variables(cls):
            assert field.description, name
            assert f"| `{name}` |" in page


def test_no_package_has_settings_that_the_page_leaves_out(generator, tmp_path):
    ours = {"content", "search", "youtube"}
    bus = Bus(BusSettings(home=tmp_path, plugins=sorted(ours), broker_url=None))
    classes = {cls for plugin in bus.plugins if plugin.name in ours for cls in plugin.settings}

    assert {plugin.name for plugin in bus.loaded} == ours
    assert classes <= {cls for _, _, cls in generator.SECTIONS}


def test_every_error_code_is_explained_and_no_other():
    page = (ROOT / "docs" / "errors.md").read_text()
    explained = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))

    assert codes() - explained == set(), "in the code, but not in docs/errors.md"
    assert explained - codes() == set(), "in docs/errors.md, but not in the code"


def codes() -> set[str]:
    """Every error code in the source of our packages."""
    files = [file for package in PACKAGES for file in (ROOT / package / "src").rglob("*.py")]
    return {code for file in files for code in _codes(ast.parse(file.read_text()))}


def _codes(tree: ast.AST) -> Iterator[str]:
    # Where a call takes a code by position.
    position = {"Failure": 0, "_Row": 0}
    position |= dict.fromkeys(("TaskFailed", "Permanent", "Retryable", "Deferred"), 1)
    for node in ast.walk(tree):
        values: list[ast.expr | None] = []
        match node:
            case ast.Assign(targets=[ast.Name("code")]) | ast.AnnAssign(target=ast.Name("code")):
                values = [node.value]
            case ast.FunctionDef(name="__init__", args=args):
                given = zip(args.args[::-1], args.defaults[::-1], strict=False)
                values = [default for arg, default in given if arg.arg == "code"]
            case ast.Dict(keys=keys):
                values = [
                    value
                    for key, value in zip(keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and key.value == "code"
                ]
            case ast.AnnAssign(target=ast.Name("_CODES"), value=ast.Dict(values=kinds)):
                values = list(kinds)
            case ast.Call(func=ast.Name(name), args=args, keywords=keywords):
                values = [keyword.value for keyword in keywords if keyword.arg == "code"]
                if name in position and len(args) > position[name]:
                    values.append(args[position[name]])
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value
