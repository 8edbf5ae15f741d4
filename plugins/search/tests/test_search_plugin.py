"""The plugin as the bus sees it."""

import subprocess
import sys

import menos_search.plugin
from menos_bus.cli.banner import example_call
from menos_bus.testing import TestBus

HEAVY = [
    "celery",
    "httpx",
    "numpy",
    "openvino",
    "requests",
    "semantic_text_splitter",
    "surrealdb",
    "tokenizers",
    "youtube_transcript_api",
]


def test_listing_the_plugin_imports_nothing_heavy():
    code = f"import menos_search.plugin, sys; print(*(set({HEAVY}) & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_the_first_call_that_a_newcomer_is_shown_is_a_useful_one():
    name, _ = example_call(TestBus(menos_search.plugin))

    assert name == "tasks.semantic_search"


def test_its_tasks_have_schemas_with_descriptions():
    bus = TestBus(menos_search.plugin)

    assert list(bus.registry) == ["tasks.semantic_search", "tasks.similar_content"]
    for task in bus.registry.values():
        assert task.queue == "search"
        assert all("description" in p for p in properties_of(task).values())
    properties = properties_of(bus.registry["tasks.semantic_search"])
    assert list(properties)[:2] == ["query", "limit"]
    assert (properties["limit"]["minimum"], properties["limit"]["maximum"]) == (1, 100)


def properties_of(task):
    return task.signature.parameters_schema["properties"]
