"""The signature of a callback, verified with the public library."""

import time
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from menos_bus.callbacks.signing import Signer, new_secret

BODY = '{"type": "task.succeeded", "data": {"text": "größer"}}\n'.encode()


def verifies(secret, headers, body=BODY):
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except Exception:
        return False
    return True


def whsec(size):
    return "whsec_" + b64encode(b"k" * size).decode()


@pytest.mark.parametrize("now", [time.time, lambda: datetime.now(UTC)])
def test_a_receiver_with_the_secret_can_verify(now):
    secret = new_secret()

    headers = Signer([secret]).headers("evt_1", BODY, now())

    assert sorted(headers) == ["webhook-id", "webhook-signature", "webhook-timestamp"]
    assert headers["webhook-id"] == "evt_1"
    assert verifies(secret, headers)


def test_the_signature_is_the_one_of_the_specification():
    # An example of the specification's own libraries.
    signer = Signer(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])

    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_the_time_is_of_this_try_in_whole_seconds():
    signer = Signer([new_secret()])

    first, second = signer.headers("e", b"", 10.9), signer.headers("e", b"", 70.2)

    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("10", "70")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_while_the_secret_is_changed_receivers_of_both_are_content():
    old, new = new_secret(), new_secret()

    headers = Signer([new, old]).headers("evt", BODY, time.time())

    assert len(headers["webhook-signature"].split(" ")) == 2
    assert verifies(old, headers)
    assert verifies(new, headers)


def test_another_secret_does_not_verify():
    headers = Signer([new_secret()]).headers("evt", BODY, time.time())

    assert not verifies(new_secret(), headers)


@pytest.mark.parametrize(
    "change", [{"webhook-id": "evt_2"}, {"webhook-timestamp": str(int(time.time()) - 60)}]
)
def test_a_changed_header_does_not_verify(change):
    secret = new_secret()
    headers = Signer([secret]).headers("evt_1", BODY, time.time())

    assert not verifies(secret, {**headers, **change})


def test_a_changed_body_does_not_verify():
    secret = new_secret()
    headers = Signer([secret]).headers("evt_1", BODY, time.time())

    assert not verifies(secret, headers, BODY + b" ")


def test_every_new_secret_is_another_and_long_enough():
    first, second = new_secret(), new_secret()

    assert first != second
    Signer([first, second])


def test_a_secret_may_come_without_its_prefix_and_padding():
    secret = whsec(25)
    bare = secret.removeprefix("whsec_").rstrip("=")

    headers = Signer([bare]).headers("evt", BODY, time.time())

    assert verifies(secret, headers)


@pytest.mark.parametrize("size", [24, 64])
def test_the_shortest_and_the_longest_secret_are_taken(size):
    assert Signer([whsec(size)]).headers("e", b"", 0)["webhook-signature"]


@pytest.mark.parametrize(
    "wrong", ["", "whsec_", "hunter2-hunter2-hunter2-hunter2!", whsec(23), whsec(65), "whsec_é"]
)
def test_a_wrong_secret_is_named_by_its_place_and_not_shown(wrong):
    with pytest.raises(ValueError, match=r"^secret 2: must be whsec_ .* 24 to 64") as caught:
        Signer([new_secret(), wrong])

    shown = wrong.removeprefix("whsec_")
    assert not shown or shown not in str(caught.value)
    assert caught.value.__context__ is None


def test_without_a_secret_nothing_can_be_signed():
    with pytest.raises(ValueError, match="at least one secret"):
        Signer([])


@pytest.mark.parametrize("event_id", ["", "a.b", "a b", "a\nb", "é"])
def test_an_id_that_could_be_taken_for_another_text_is_refused(event_id):
    with pytest.raises(ValueError, match="event id"):
        Signer([new_secret()]).headers(event_id, BODY, 0)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        Signer([new_secret()]).headers("e", BODY, datetime(2026, 1, 1))
