from pathlib import Path

import numpy as np
import pytest

from menos_vault import Chunk, Health, Vault, VaultSettings


def by_name(vault: Vault) -> dict[str, Health]:
    return {finding.name: finding for finding in vault.health()}


def test_a_fresh_install_is_healthy_and_looking_makes_nothing(settings: VaultSettings) -> None:
    findings = by_name(Vault(settings))

    assert list(findings) == ["records", "objects", "embeddings", "disk"]
    assert all(finding.ok for finding in findings.values())
    assert "will be fetched at first use" in findings["embeddings"].message
    assert not settings.home.exists()
    assert not settings.cache.exists()


def test_looking_does_not_keep_the_folder_locked(settings: VaultSettings) -> None:
    with Vault(settings) as vault:
        vault.records.put_content("k", content_type="text", title="T")
    watcher = Vault(settings)

    assert "holds 1 content," in by_name(watcher)["records"].message

    with Vault(settings) as vault:
        vault.records.ping()
        finding = by_name(watcher)["records"]
        assert finding.ok
        assert "open in another process" in finding.message
        assert by_name(vault)["records"].message.endswith(
            "holds 1 content, 0 chunks: nothing is embedded yet, so a search finds nothing"
        )


def test_a_folder_that_is_a_file_is_told_with_a_fix(settings: VaultSettings) -> None:
    settings.home.mkdir()
    (settings.home / "vault").write_text("in the way")
    settings_of_objects = settings.model_copy(update={"objects": f"{settings.home}/vault/x"})

    findings = by_name(Vault(settings_of_objects))

    assert not findings["objects"].ok
    assert findings["objects"].fix


def test_a_folder_that_cannot_be_looked_into_is_told_with_a_fix(
    settings: VaultSettings, tmp_path: Path
) -> None:
    folder = tmp_path / ("long" * 100)  # an error whoever runs the tests
    barred = settings.model_copy(update={"url": f"surrealkv://{folder}"})

    finding = by_name(Vault(barred))["records"]

    assert not finding.ok
    assert str(folder) in finding.message
    assert finding.fix


@pytest.mark.parametrize(
    ("stored", "changed", "fits"),
    [
        ("all-MiniLM-L6-v2", {}, True),
        ("all-MiniLM-L6-v2", {"embeddings": "ollama"}, False),
        ("nomic-embed-text@0a109f42", {}, False),
        ("nomic-embed-text@0a109f42", {"embeddings": "ollama"}, True),
    ],
)
def test_vectors_of_another_model_than_the_settings_say_are_told(
    settings: VaultSettings, stored: str, changed: dict[str, str], fits: bool
) -> None:
    settings = settings.model_copy(update={"ollama_url": "http://127.0.0.1:1", **changed})
    with Vault(settings) as vault:
        content = vault.records.put_content("k", content_type="text", title="T")
        vectors = np.ones((1, 4), dtype=np.float32)
        vault.records.replace_chunks(content.id, [Chunk(index=0, text="t")], vectors, model=stored)

        finding = by_name(vault)["records"]

    assert finding.ok is fits
    assert ("vault reindex" in finding.fix) is not fits


def test_records_that_are_no_database_are_told_with_a_fix(settings: VaultSettings) -> None:
    folder = settings.records_folder
    assert folder is not None
    folder.parent.mkdir(parents=True)
    folder.write_text("not a folder")

    finding = by_name(Vault(settings))["records"]

    assert not finding.ok
    assert finding.fix


def test_an_own_model_that_is_missing_is_told_with_a_fix(
    settings: VaultSettings, tmp_path: Path
) -> None:
    gone = settings.model_copy(update={"model_path": tmp_path / "gone"})

    finding = by_name(Vault(gone))["embeddings"]

    assert not finding.ok
    assert "MENOS_VAULT_MODEL_PATH" in finding.message
    assert finding.fix
