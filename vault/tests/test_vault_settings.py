from pathlib import Path

import pytest
from pydantic import ValidationError

from menos_vault import VaultSettings, content_id


def test_defaults_lie_below_the_data_folder_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    settings = VaultSettings()

    assert settings.url == f"surrealkv://{tmp_path}/.menos/vault/records"
    assert settings.objects == tmp_path / ".menos/vault/objects"
    assert settings.cache.name == "menos"
    assert settings.embeddings == "local"


def test_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    monkeypatch.setenv("MENOS_VAULT_THREADS", "3")
    monkeypatch.setenv("MENOS_VAULT_URL", "ws://database:8000")

    settings = VaultSettings()

    assert (settings.home, settings.threads) == (tmp_path, 3)
    assert settings.url == "ws://database:8000"
    assert settings.records_folder is None


def test_an_unknown_kind_of_database_is_refused() -> None:
    with pytest.raises(ValidationError, match="must start with one of surrealkv://"):
        VaultSettings(url="postgres://here")


def test_every_setting_is_described() -> None:
    assert all(field.description for field in VaultSettings.model_fields.values())


def test_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENOS_VAULT_PASSWORD", "hidden one")

    assert "hidden one" not in repr(VaultSettings())


def test_content_ids_are_fixed_and_of_one_length() -> None:
    assert content_id("yt:dQw4w9WgXcQ") == "07c34182ce3a961b237f5b4968301d6e"
    assert {len(content_id(key)) for key in ("", "a" * 9999, "ü", "\ud800")} == {32}
