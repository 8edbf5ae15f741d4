"""When a failed task is tried again."""

import pytest

from menos_bus import InvalidCall, Permanent, Retryable
from menos_bus.errors import FieldProblem
from menos_bus.tasks.retry import Failure, RetryPolicy

PASSING = Failure("busy", "come back", retryable=True)
STEADY = RetryPolicy(max_retries=None, retry_jitter=False)


class Foreign(Exception):
    """An error of a library that does not know this package."""

    def __init__(self, text, code, retryable, **more):
        super().__init__(text)
        self.code = code
        self.retryable = retryable
        vars(self).update(more)


def test_each_wait_is_twice_the_one_before():
    assert [STEADY.wait(retries, PASSING) for retries in range(5)] == [1, 2, 4, 8, 16]


def test_waits_start_from_the_backoff_and_end_at_the_cap():
    policy = RetryPolicy(None, retry_backoff=3, retry_backoff_max=10, retry_jitter=False)

    assert [policy.wait(retries, PASSING) for retries in range(4)] == [3, 6, 10, 10]


@pytest.mark.parametrize("retries", [32, 1000, 10**6])
def test_no_number_of_retries_overflows(retries):
    assert STEADY.wait(retries, PASSING) == 600


@pytest.mark.parametrize("retries", [0, 1, 5, 9, 12])
def test_jitter_draws_between_half_and_the_whole_of_the_wait(retries):
    policy = RetryPolicy(max_retries=None)
    whole = STEADY.wait(retries, PASSING)

    waits = [policy.wait(retries, PASSING) for _ in range(200)]

    assert max(1, whole // 2) <= min(waits) <= max(waits) <= whole


def test_jitter_spreads_tasks_that_failed_together():
    policy = RetryPolicy(max_retries=None)

    assert len({policy.wait(9, PASSING) for _ in range(50)}) > 1


@pytest.mark.parametrize(("after", "wait"), [(90, 90), (2.6, 3), (0.2, 1), (0, 1), (-5, 1)])
def test_what_the_error_asks_for_is_waited_in_whole_seconds_from_one_up(after, wait):
    assert STEADY.wait(0, Failure("busy", "", True, after=after)) == wait


@pytest.mark.parametrize("after", [float("inf"), float("nan"), "soon"])
def test_an_impossible_wait_still_leads_to_another_try(after):
    failure = STEADY.classify(Foreign("no", "busy", True, after=after))

    assert STEADY.wait(0, failure) >= 1


def test_a_backoff_of_nothing_is_one_second():
    policy = RetryPolicy(None, retry_backoff=0, retry_jitter=False)

    assert policy.wait(3, PASSING) == 1


def retries(policy, failure):
    """How often a call is tried again that always fails so, at most ten times."""
    return next((n for n in range(10) if policy.wait(n, failure) is None), 10)


@pytest.mark.parametrize(
    ("options", "setting", "passing", "unexpected"),
    [
        ({}, 7, 7, 3),
        ({}, 9, 9, 3),
        ({}, 1, 1, 1),
        ({"max_retries": 0}, 7, 0, 0),
        ({"max_retries": 5}, 7, 5, 5),
        ({"max_retries": None}, 7, 10, 10),
    ],
)
def test_what_may_pass_has_the_retries_of_the_setting_and_a_defect_few_unless_the_task_says(
    options, setting, passing, unexpected
):
    policy = RetryPolicy.pop_from(options, setting)

    assert retries(policy, PASSING) == passing
    assert retries(policy, policy.classify(KeyError("title"))) == unexpected


def test_a_server_may_be_away_for_a_minute():
    policy = RetryPolicy()
    waits = [policy.wait(n, PASSING) for n in range(7)]

    assert sum(waits) >= 60


def test_no_retries_means_none():
    assert RetryPolicy(max_retries=0).wait(0, PASSING) is None


def test_what_cannot_pass_is_not_tried_again():
    assert STEADY.wait(0, Failure("gone", "no", retryable=False)) is None


def test_a_permanent_error_keeps_its_code_and_message():
    failure = STEADY.classify(Permanent("no such video", code="not_found"))

    assert failure == Failure("not_found", "no such video", retryable=False)


def test_a_retryable_error_keeps_the_time_that_it_asks_for():
    failure = STEADY.classify(Retryable("quota", code="quota", after=30))

    assert failure == Failure("quota", "quota", retryable=True, after=30)


def test_errors_without_a_code_of_their_own_have_the_code_of_their_class():
    assert STEADY.classify(Permanent("x")).code == "permanent"
    assert STEADY.classify(Retryable("x")).code == "retryable"


@pytest.mark.parametrize("retryable", [True, False])
def test_an_error_of_a_library_says_itself_how_it_is_treated(retryable):
    failure = RetryPolicy(autoretry_for=()).classify(Foreign("gone", "vault_locked", retryable))

    assert failure == Failure("vault_locked", "gone", retryable=retryable)


def test_an_error_of_a_library_may_ask_for_a_time():
    assert STEADY.classify(Foreign("no", "busy", True, after=7)).after == 7


@pytest.mark.parametrize(("code", "retryable"), [(404, True), ("busy", "yes"), (None, None)])
def test_an_error_whose_marks_are_of_other_types_goes_by_its_class(code, retryable):
    failure = STEADY.classify(Foreign("gone", code, retryable))

    assert (failure.code, failure.expected) == ("internal_error", False)


def test_arguments_that_are_wrong_are_not_tried_again():
    failure = STEADY.classify(InvalidCall([FieldProblem("who", "required")]))

    assert failure == Failure("invalid_call", "who: required", retryable=False)


def test_any_other_exception_is_tried_again_and_named():
    failure = RetryPolicy().classify(KeyError("title"))

    assert failure == Failure("internal_error", "KeyError: 'title'", True, expected=False)


def test_an_exception_without_a_text_is_named_by_its_class():
    assert "TimeoutError" in RetryPolicy().classify(TimeoutError()).message


def test_only_listed_exceptions_are_tried_again():
    policy = RetryPolicy(autoretry_for=(OSError,))

    assert policy.classify(ConnectionError("x")).retryable is True
    assert policy.classify(ValueError("x")).retryable is False


def test_an_exception_that_is_taken_out_is_not_tried_again():
    policy = RetryPolicy(dont_autoretry_for=(LookupError,))

    assert policy.classify(KeyError("x")).retryable is False
    assert policy.classify(ValueError("x")).retryable is True


def test_retry_options_are_taken_out_of_the_options_for_celery():
    options = {"max_retries": None, "retry_backoff": 5, "autoretry_for": [OSError], "time_limit": 9}

    policy = RetryPolicy.pop_from(options)

    assert options == {"time_limit": 9}
    assert policy == RetryPolicy(None, 5, autoretry_for=(OSError,), unexpected_retries=None)


def test_celerys_spelling_of_a_backoff_of_one_second_is_understood():
    assert RetryPolicy.pop_from({"retry_backoff": True}).retry_backoff == 1.0
