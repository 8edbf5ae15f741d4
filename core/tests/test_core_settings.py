"""The core's settings come from the environment, and a wrong one is named."""

from pathlib import Path

import pytest

from menos_bus import BusSettings, SettingsError


def test_without_any_setting_the_bus_is_embedded():
    settings = BusSettings.load()

    assert settings.embedded is True
    assert settings.home == Path(".menos")
    assert settings.plugins is None
    assert settings.flower_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        (" , ", ()),
        ("hello", ("hello",)),
        ("b, a ,c,", ("b", "a", "c")),
    ],
)
def test_the_allow_list_is_separated_by_commas_and_empty_means_none(monkeypatch, text, names):
    monkeypatch.setenv("MENOS_PLUGINS", text)

    assert BusSettings.load().plugins == names


def test_a_fleet_has_a_broker_and_a_result_backend(monkeypatch):
    monkeypatch.setenv("MENOS_BROKER_URL", "amqp://rabbit")
    monkeypatch.setenv("MENOS_RESULT_BACKEND", "redis://redis")

    assert BusSettings.load().embedded is False


def test_no_password_is_in_what_is_printed_of_the_settings():
    settings = BusSettings.load(
        broker_url="amqp://u:pa55word@rabbit",
        result_backend="redis://:pa55word@redis",
        flower_password="pa55word",
    )

    assert "pa55word" not in f"{settings!r} {settings}"


@pytest.mark.parametrize("name", ["MENOS_BROKER_URL", "MENOS_RESULT_BACKEND"])
def test_one_of_the_two_alone_is_refused_and_both_are_named(monkeypatch, name):
    monkeypatch.setenv(name, "amqp://rabbit")

    with pytest.raises(SettingsError, match="MENOS_BROKER_URL and MENOS_RESULT_BACKEND"):
        BusSettings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MENOS_CONCURRENCY", "many"),
        ("MENOS_CONCURRENCY", "0"),
        ("MENOS_CONCURRENCY", "257"),
        ("MENOS_FLOWER_PORT", "65536"),
        ("MENOS_FLOWER_PORT", "-1"),
        ("MENOS_FLOWER_USER", "a:b"),
        ("MENOS_RESULT_EXPIRES", "59"),
        ("MENOS_DELIVERY_LIMIT", "0"),
        ("MENOS_SHUTDOWN_GRACE", "-1"),
        ("MENOS_LOG_LEVEL", "CHATTY"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=rf"{name}: "):
        BusSettings.load()


def test_every_wrong_value_is_named_at_once(monkeypatch):
    monkeypatch.setenv("MENOS_CONCURRENCY", "many")
    monkeypatch.setenv("MENOS_FLOWER_PORT", "none")

    with pytest.raises(SettingsError, match=r"MENOS_CONCURRENCY: .*; MENOS_FLOWER_PORT: "):
        BusSettings.load()


def test_what_is_wrong_with_two_variables_together_is_told_as_it_is(monkeypatch):
    monkeypatch.setenv("MENOS_BROKER_URL", "amqp://rabbit")

    with pytest.raises(SettingsError, match=r"^MENOS_BROKER_URL and MENOS_RESULT_BACKEND go"):
        BusSettings.load()


def test_an_argument_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("MENOS_FLOWER_PORT", "1000")

    assert BusSettings.load(flower_port=2000).flower_port == 2000


def test_a_file_beside_the_process_is_read():
    Path(".env").write_text("MENOS_PLUGINS=a,b\nMENOS_FLOWER_PORT=1234\nOTHER=x\n")

    settings = BusSettings.load()

    assert settings.plugins == ("a", "b")
    assert settings.flower_port == 1234


def test_the_environment_goes_before_the_file(monkeypatch):
    Path(".env").write_text("MENOS_FLOWER_PORT=1234\n")
    monkeypatch.setenv("MENOS_FLOWER_PORT", "4321")

    assert BusSettings.load().flower_port == 4321


def test_a_wrong_value_in_the_file_names_its_variable():
    Path(".env").write_text("MENOS_CONCURRENCY=many\n")

    with pytest.raises(SettingsError, match="MENOS_CONCURRENCY: "):
        BusSettings.load()


def test_a_file_that_is_not_text_is_a_settings_error():
    Path(".env").write_bytes(b"MENOS_HOME=\xff\n")

    with pytest.raises(SettingsError, match=r"\.env"):
        BusSettings.load()


def test_the_password_is_not_shown():
    assert "hush" not in repr(BusSettings.load(flower_password="hush"))


def test_every_setting_has_a_description():
    described = {name: field.description for name, field in BusSettings.model_fields.items()}

    assert [name for name, text in described.items() if not text] == []


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch):
    for name in ("BROKER_URL", "RESULT_BACKEND", "FLOWER_PASSWORD", "FLOWER_USER"):
        monkeypatch.setenv(f"MENOS_{name}", "")

    settings = BusSettings.load()

    assert settings.embedded
    assert settings.flower_password is None
    assert settings.flower_user == "menos"
