"""The logins of the doors: made once, kept, nobody else's to read, and each with its role."""

import json
import stat
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest

from menos_bus import BusSettings, SettingsError
from menos_bus.doors.credentials import FILE, Credentials, Logins, Role, logins

KNOWN = Logins(Credentials("menos", "op secret"), Credentials("caller", "ca:ll"))


@pytest.fixture
def settings(tmp_path):
    return BusSettings.load(home=tmp_path / "new" / "home")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def basic(text):
    return "Basic " + b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def test_two_passwords_are_made_that_only_the_owner_can_read(settings):
    made = logins(settings)

    path = settings.home / FILE
    assert (made.operator.user, made.caller.user) == ("menos", "caller")
    assert len(made.operator.password) >= 20
    assert len(made.caller.password) >= 20
    assert made.operator.password != made.caller.password
    assert mode(path) == 0o600
    assert json.loads(path.read_text()) == {
        "password": made.operator.password,
        "caller_password": made.caller.password,
    }


def test_the_passwords_stay_the_same(settings):
    assert logins(settings) == logins(settings)


def test_two_folders_have_two_passwords(settings, tmp_path):
    other = BusSettings.load(home=tmp_path / "other")

    assert logins(settings).operator.password != logins(other).operator.password


def test_a_file_that_others_may_read_is_closed_again(settings):
    first = logins(settings)
    (settings.home / FILE).chmod(0o644)

    assert logins(settings) == first
    assert mode(settings.home / FILE) == 0o600


def test_a_file_of_an_older_version_gets_a_password_for_callers_and_keeps_its_own(settings):
    settings.make_home()
    (settings.home / FILE).write_text('{"password": "old"}\n')

    first = logins(settings)

    assert first.operator.password == "old"
    assert len(first.caller.password) >= 20
    assert logins(settings) == first
    assert mode(settings.home / FILE) == 0o600


def test_doors_that_start_at_the_same_moment_have_the_same_passwords(settings):
    settings.make_home()
    (settings.home / FILE).write_text('{"password": "old"}\n')

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: logins(settings), range(16)))

    assert len({login.caller.password for login in found}) == 1


def test_passwords_from_the_settings_are_taken_and_written_nowhere(tmp_path):
    settings = BusSettings.load(
        home=tmp_path / "home",
        flower_user="ada",
        flower_password="secret",
        caller_user="n8n",
        caller_password="other",
    )

    given = logins(settings)

    assert given == Logins(Credentials("ada", "secret"), Credentials("n8n", "other"))
    assert not settings.home.exists()


def test_one_password_from_the_settings_leaves_the_other_to_the_file(settings):
    stored = logins(settings)

    given = logins(settings.model_copy(update={"caller_password": None, "flower_user": "ada"}))

    assert given.operator == Credentials("ada", stored.operator.password)
    assert given.caller == stored.caller


@pytest.mark.parametrize(
    ("same", "named"),
    [
        ({"flower_user": "x", "caller_user": "x"}, "MENOS_CALLER_USER"),
        ({"flower_password": "x", "caller_password": "x"}, "MENOS_CALLER_PASSWORD"),
    ],
)
def test_two_roles_with_one_login_are_refused(tmp_path, same, named):
    with pytest.raises(SettingsError, match=named):
        logins(BusSettings.load(home=tmp_path, **same))


def test_the_stored_password_of_the_operator_is_none_for_callers(settings):
    stored = logins(settings).operator.password

    with pytest.raises(SettingsError, match="the same password"):
        logins(BusSettings.load(home=settings.home, caller_password=stored))


@pytest.mark.parametrize("text", ["", "secret", "{}", "[]", "null", '{"password"', b"\xff"])
def test_a_file_without_a_password_says_what_to_do(settings, text):
    logins(settings)
    path = settings.home / FILE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(SettingsError, match="delete it to get new ones") as caught:
        logins(settings)

    assert str(path) in caught.value.message
    assert "MENOS_FLOWER_PASSWORD" in caught.value.message


@pytest.mark.parametrize("name", ["password", "caller_password"])
@pytest.mark.parametrize("value", ["", 5, None, []])
def test_a_file_with_something_else_for_a_password_does_not_open_the_door(settings, name, value):
    logins(settings)
    stored = {"password": "a", "caller_password": "b", name: value}
    (settings.home / FILE).write_text(json.dumps(stored))

    with pytest.raises(SettingsError, match="delete it to get new ones"):
        logins(settings)


def test_the_passwords_are_not_shown(settings):
    made = logins(settings)

    assert made.operator.password not in repr(made)
    assert made.caller.password not in repr(made)


# roles


@pytest.mark.parametrize(
    ("header", "role"),
    [
        (basic("menos:op secret"), Role.OPERATOR),
        (basic("caller:ca:ll"), Role.CALLER),
        ("Bearer op secret", Role.OPERATOR),
        ("bearer ca:ll", Role.CALLER),
        (KNOWN.operator.basic.replace("Basic", "BASIC"), Role.OPERATOR),
    ],
)
def test_a_login_has_its_role(header, role):
    assert KNOWN.role_of(header) is role


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Bearer",
        "Bearer ",
        "Bearer op",
        "Bearer pässword",
        "Digest ca:ll",
        "ca:ll",
        "Basic !!!",
        "Basic ä",
        basic("menos:ca:ll"),
        basic("caller:op secret"),
        basic("menos:"),
        basic("menos:pässword"),
        basic(b"menos:\xff"),
        basic("op secret"),
    ],
)
def test_anything_else_has_none(header):
    assert KNOWN.role_of(header) is None
