"""The password of the doors: made once, kept, and nobody else's to read."""

import json
import stat

import pytest

from menos_bus import BusSettings, SettingsError
from menos_bus.doors.credentials import FILE, credentials


@pytest.fixture
def settings(tmp_path):
    return BusSettings.load(home=tmp_path / "new" / "home")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_password_is_made_that_only_the_owner_can_read(settings):
    login = credentials(settings)

    path = settings.home / FILE
    assert login.user == "menos"
    assert len(login.password) >= 20
    assert mode(path) == 0o600
    assert json.loads(path.read_text()) == {"password": login.password}


def test_the_password_stays_the_same(settings):
    assert credentials(settings) == credentials(settings)


def test_two_folders_have_two_passwords(settings, tmp_path):
    other = BusSettings.load(home=tmp_path / "other")

    assert credentials(settings).password != credentials(other).password


def test_a_file_that_others_may_read_is_closed_again(settings):
    first = credentials(settings)
    (settings.home / FILE).chmod(0o644)

    assert credentials(settings) == first
    assert mode(settings.home / FILE) == 0o600


def test_a_password_from_the_settings_is_taken_and_written_nowhere(tmp_path):
    settings = BusSettings.load(home=tmp_path / "home", flower_user="ada", flower_password="secret")

    login = credentials(settings)

    assert (login.user, login.password) == ("ada", "secret")
    assert not settings.home.exists()


@pytest.mark.parametrize("text", ["", "secret", "{}", "[]", "null", '{"password"', b"\xff"])
def test_a_file_without_a_password_says_what_to_do(settings, text):
    credentials(settings)
    path = settings.home / FILE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(SettingsError, match="delete it to get a new one") as caught:
        credentials(settings)

    assert str(path) in caught.value.message
    assert "MENOS_FLOWER_PASSWORD" in caught.value.message


@pytest.mark.parametrize("password", ['""', "5", "null", "[]"])
def test_a_file_with_something_else_for_a_password_does_not_open_the_door(settings, password):
    credentials(settings)
    (settings.home / FILE).write_text(f'{{"password": {password}}}')

    with pytest.raises(SettingsError, match="delete it to get a new one"):
        credentials(settings)


def test_the_password_is_not_shown(settings):
    login = credentials(settings)

    assert login.password not in repr(login)
