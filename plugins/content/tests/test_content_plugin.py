"""The plugin as the bus sees it."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

import menos_content.plugin
from menos_bus.cli.banner import example_call
from menos_bus.testing import TestBus
from menos_content.settings import ContentSettings
from menos_vault import close_vault

HEAVY = [
    "celery",
    "httpx",
    "markdown_it",
    "numpy",
    "openvino",
    "requests",
    "semantic_text_splitter",
    "sentencex",
    "surrealdb",
    "tokenizers",
    "youtube_transcript_api",
]


def test_listing_the_plugin_imports_nothing_heavy():
    code = f"import menos_content.plugin, sys; print(*(set({HEAVY}) & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_the_first_call_that_a_newcomer_is_shown_is_a_useful_one():
    name, _ = example_call(TestBus(menos_content.plugin))

    assert name == "tasks.store_content"


def test_its_tasks_have_schemas_with_descriptions():
    bus = TestBus(menos_content.plugin)

    assert {"tasks.process_content", "tasks.store_content"} <= set(bus.registry)
    assert len(bus.registry) == 9
    for task in bus.registry.values():
        assert task.queue == "content"
        assert all("description" in p for p in properties(task).values())
    operations = properties(bus.registry["tasks.process_content"])["operations"]
    assert operations["items"]["examples"] == ["embed", "summarize"]


def properties(task):
    return task.signature.parameters_schema["properties"]


def test_health_reports_each_part_of_the_vault(tmp_path, monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))

    checks = list(menos_content.plugin.check_health())

    assert {"vault.records", "vault.objects", "vault.embeddings"} <= {c.name for c in checks}
    assert all(check.ok or check.fix for check in checks)
    close_vault()


def test_a_wrong_setting_of_the_vault_is_a_failed_check_that_names_it(monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_VAULT_OBJECTS", "s3://bucket")

    [check] = menos_content.plugin.check_health()

    assert (check.name, check.ok) == ("vault.settings", False)
    assert "MENOS_VAULT_S3_ACCESS_KEY" in check.message


def test_settings_come_from_the_environment(monkeypatch):
    assert (ContentSettings().chunk_tokens, ContentSettings().chunk_overlap) == (200, 40)
    monkeypatch.setenv("MENOS_CONTENT_CHUNK_TOKENS", "100")
    monkeypatch.setenv("MENOS_CONTENT_CHUNK_OVERLAP", "50")
    assert (ContentSettings().chunk_tokens, ContentSettings().chunk_overlap) == (100, 50)
    monkeypatch.setenv("MENOS_CONTENT_CHUNK_OVERLAP", "51")
    with pytest.raises(ValidationError, match="more than half"):
        ContentSettings()
