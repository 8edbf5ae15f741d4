from pathlib import Path

import pytest
from pydantic import ValidationError

from menos_vault import InvalidSettings, Vault, VaultSettings, content_id


def test_defaults_lie_below_the_data_folder_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    settings = VaultSettings()

    assert settings.url == f"surrealkv://{tmp_path}/.menos/vault/records"
    assert settings.objects == f"{tmp_path}/.menos/vault/objects"
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


def test_a_bucket_is_told_from_a_folder(tmp_path: Path) -> None:
    keys = {"s3_access_key": "a", "s3_secret_key": "s"}

    assert VaultSettings(objects=tmp_path).s3_place is None
    assert VaultSettings(objects="s3://a.b.c", **keys).s3_place == ("a.b.c", "")
    assert VaultSettings(objects="s3://bucket", **keys).s3_place == ("bucket", "")
    assert VaultSettings(objects="s3://my-bucket/a/b/", **keys).s3_place == ("my-bucket", "a/b")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"objects": "s3://ab"}, "3 to 63"),
        ({"objects": "s3:///prefix"}, "must be a folder or s3://bucket/prefix"),
        ({"objects": "s3://a..b"}, "must be a folder or s3://bucket/prefix"),
        ({"objects": "s3://10.0.0.1/x"}, "must be a folder or s3://bucket/prefix"),
        ({"objects": "s3://bucket/a/../b"}, "its prefix is none"),
        ({"objects": "gs://bucket"}, "must be a folder or s3://bucket/prefix"),
        ({"objects": "s3://bucket"}, "set MENOS_VAULT_S3_ACCESS_KEY and MENOS_VAULT_S3_SECRET_KEY"),
        ({"s3_endpoint": "minio:9000"}, "must be http://host:port"),
        ({"s3_endpoint": "http://minio:9000/path"}, "no path"),
        ({"s3_endpoint": "http://minio:99999"}, "must be http://host:port"),
        ({"s3_endpoint": "http://:9000"}, "must be http://host:port"),
    ],
)
def test_objects_that_are_nowhere_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        VaultSettings(**given)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in VaultSettings.model_fields.values())


@pytest.mark.parametrize("name", ["PASSWORD", "S3_SECRET_KEY"])
def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"MENOS_VAULT_{name}", "hidden one")

    assert "hidden one" not in repr(VaultSettings())


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MENOS_VAULT_URL", "postgres://here", "MENOS_VAULT_URL: must start with"),
        ("MENOS_VAULT_THREADS", "many", "MENOS_VAULT_THREADS: Input should be a valid integer"),
        ("MENOS_VAULT_OLLAMA_KEEP_ALIVE", "5 minutes", "such as 5m"),
        ("MENOS_VAULT_OBJECTS", "s3://bucket", "set MENOS_VAULT_S3_ACCESS_KEY"),
    ],
)
def test_a_wrong_variable_is_named_without_what_is_secret(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv("MENOS_VAULT_S3_SECRET_KEY", "hidden one")
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidSettings, match=said) as refused:
        Vault()

    assert "hidden one" not in str(refused.value)
    with pytest.raises(ValidationError) as raw:
        VaultSettings()
    assert "hidden one" not in str(raw.value)


def test_content_ids_are_fixed_and_of_one_length() -> None:
    assert content_id("yt:dQw4w9WgXcQ") == "07c34182ce3a961b237f5b4968301d6e"
    assert {len(content_id(key)) for key in ("", "a" * 9999, "ü", "\ud800")} == {32}
