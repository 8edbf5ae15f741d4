"""What follows a try to deliver a callback."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menos_bus.callbacks.deliver import Answer, DeliveryFailed
from menos_bus.callbacks.schedule import (
    EARLY_WAITS,
    LONGEST_AGE,
    WAITS,
    Again,
    Done,
    Stop,
    Tries,
    next_step,
)

TIMED_OUT = DeliveryFailed("timed out after 10 s")
N8N_FINISHED = '{"code":409,"message":"The execution \\"12\\" has finished already."}'


def answer(status, text="", retry_after=None):
    return Answer(status, text, retry_after)


def middle():
    """No jitter."""
    return 0.5


def waits(result, tries=None, draw=middle):
    """The waits of a receiver that always answers the same, and what it ends with."""
    step, seconds = next_step(result, tries or Tries(), draw=draw), []
    while isinstance(step, Again):
        seconds.append(step.seconds)
        step = next_step(result, step.tries, draw=draw)
    return seconds, step


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_success_is_the_end(status):
    assert next_step(answer(status), Tries(3, 2)) == Done()


@pytest.mark.parametrize(
    "result", [TIMED_OUT, *map(answer, (101, 302, 400, 401, 403, 404, 418, 429, 500, 503))]
)
def test_every_failure_is_tried_ten_times_over_days(result):
    seconds, end = waits(result)

    assert seconds == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert isinstance(end, Stop)
    assert end.reason.endswith("given up after 10 tries")


def test_a_receiver_that_is_gone_is_left_alone():
    step = next_step(answer(410), Tries())

    assert step == Stop("answered 410: the receiver wants no more callbacks")


def test_a_receiver_that_is_not_ready_yet_is_asked_again_soon_and_then_over_days():
    seconds, end = waits(answer(409))

    assert seconds[:7] == [1, 1, 2, 4, 8, 16, 32]
    assert seconds[7:10] == [5, 300, 1800]
    assert isinstance(end, Stop)
    assert end.reason == "answered 409; given up after 17 tries"


def test_an_answer_that_comes_too_early_does_not_use_up_the_other_tries():
    step = next_step(answer(409), Tries(failed=2, early=3), draw=middle)

    assert step == Again(4, "answered 409", Tries(failed=2, early=4))


@pytest.mark.parametrize(
    "text", [N8N_FINISHED, "ALREADY FINISHED", "the workflow has Finished Already"]
)
def test_a_receiver_that_has_finished_already_got_it_before(text):
    assert next_step(answer(409, text), Tries(early=1)) == Done()


def test_only_with_a_409_the_text_counts():
    assert isinstance(next_step(answer(500, N8N_FINISHED), Tries()), Again)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (TIMED_OUT, "timed out after 10 s"),
        (answer(503), "answered 503"),
        (answer(302), "answered 302: redirects are not followed, give the address"),
    ],
)
def test_the_reason_says_why_there_is_another_try(result, reason):
    assert next_step(result, Tries()).reason.startswith(reason)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, 300), (0.0, 300), (299.0, 300), (600.5, 601), (1e9, 86400), (float("inf"), 86400)],
)
@pytest.mark.parametrize("status", [429, 503, 404])
def test_the_receiver_may_ask_for_a_longer_wait_up_to_a_day(status, retry_after, seconds):
    step = next_step(answer(status, "", retry_after), Tries(failed=1), draw=middle)

    assert step.seconds == seconds


def test_a_receiver_that_is_not_ready_may_ask_for_a_longer_wait_too():
    assert next_step(answer(409, "", 20.0), Tries()).seconds == 20


def test_jitter_never_makes_a_wait_shorter_than_the_receiver_asked_for():
    assert next_step(answer(503, "", 300.0), Tries(failed=1), draw=lambda: 0.0).seconds == 300


@pytest.mark.parametrize(("drawn", "part"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_waits_are_up_to_a_fifth_shorter_or_longer(drawn, part):
    seconds, _ = waits(TIMED_OUT, draw=lambda: drawn)

    assert seconds == [round(wait * part) for wait in WAITS]


def test_callbacks_that_failed_together_come_back_at_different_times():
    assert len({next_step(TIMED_OUT, Tries(failed=5)).seconds for _ in range(50)}) > 1


def test_there_is_no_try_when_the_callback_is_too_old():
    patient = answer(503, "", 86400.0)

    assert isinstance(next_step(patient, Tries(), age=LONGEST_AGE - 86400), Again)
    step = next_step(patient, Tries(), age=LONGEST_AGE - 86399)
    assert step == Stop("answered 503; given up after 4 days")


def test_the_ordinary_tries_all_fit_before_a_callback_is_too_old():
    longest, _ = waits(TIMED_OUT, draw=lambda: 1.0)

    assert sum(longest) + sum(EARLY_WAITS) < LONGEST_AGE - 3600


@given(
    st.one_of(
        st.just(TIMED_OUT),
        st.builds(
            answer,
            st.integers(100, 999),
            st.text(max_size=5),
            st.none() | st.floats(min_value=0),
        ),
    ),
    st.builds(Tries, st.integers(0, 20), st.integers(0, 20)),
    st.floats(0, 1),
)
def test_waits_are_whole_seconds_from_one_to_a_day_and_a_fifth_and_come_to_an_end(
    result, tries, drawn
):
    step = next_step(result, tries, draw=lambda: drawn)

    if isinstance(step, Again):
        assert type(step.seconds) is int
        assert 1 <= step.seconds <= 86400 * 1.2
        assert step.tries.failed + step.tries.early == tries.failed + tries.early + 1


def test_n8n_that_has_not_stored_its_execution_yet_is_too_early_and_no_failure():
    text = "Cannot read properties of undefined (reading 'resumeToken')"

    step = next_step(Answer(500, text, None), Tries())

    assert (step.seconds, step.tries) == (1, Tries(early=1))


def test_an_execution_of_n8n_that_ended_with_an_error_has_had_its_callback():
    text = 'The execution "93" has finished with error.'

    assert next_step(Answer(409, text, None), Tries()) == Done()
