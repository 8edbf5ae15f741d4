"""Texts of many threads in common batches."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from menos_vault import ModelUnavailable
from menos_vault.embeddings.batches import Batches

TOKENS = 32  # eight texts of the usual length here
THREADS = 3


class Model:
    """Makes of a text its first token and its length; notes what it ran, and waits if told to."""

    def __init__(self) -> None:
        self.runs: list[list[list[int]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.running = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, texts: list[list[int]]) -> NDArray[np.float32]:
        with self.lock:
            self.runs.append(texts)
            self.running += 1
            self.most = max(self.most, self.running)
        self.began.set()
        try:
            assert self.gate.wait(10)
            if any(text[0] < 0 for text in texts):
                raise ValueError("a bad text")
            return np.array([[text[0], len(text)] for text in texts], dtype=np.float32)
        finally:
            with self.lock:
                self.running -= 1


@pytest.fixture
def model() -> Model:
    return Model()


def text(number: int, length: int = 4) -> list[int]:
    return [number] * length


def held(model: Model, batches: Batches, others: list[Callable[[], object]]) -> list[object]:
    """Let others queue up behind a batch that runs, then let it go on."""
    model.gate.clear()
    with ThreadPoolExecutor(len(others) + 1) as pool:
        pool.submit(batches.embed, [text(0)])
        assert model.began.wait(10)
        futures = [pool.submit(other) for other in others]
        while len(batches._requests) <= len(others):
            pass
        model.gate.set()
        return [future.exception() or future.result() for future in futures]


def test_vectors_come_in_the_order_of_the_texts(model: Model) -> None:
    texts = [text(number, 1 + number % 5) for number in range(50)]

    vectors = Batches(model, TOKENS, 1).embed(texts)

    assert [tuple(vector) for vector in vectors] == [(t[0], len(t)) for t in texts]
    assert Batches(model, TOKENS, 1).embed([]) == []


def test_texts_of_several_threads_fill_one_batch(model: Model) -> None:
    batches = Batches(model, TOKENS, 1)

    answers = held(
        model, batches, [lambda n=n: batches.embed([text(n), text(n)]) for n in range(1, 5)]
    )

    assert [vectors[0][0] for vectors in answers] == [1, 2, 3, 4]  # type: ignore[index]
    assert [len(run) for run in model.runs] == [1, 8]


def test_texts_behind_longer_ones_fill_a_batch_of_shorter_ones(model: Model) -> None:
    batches = Batches(model, TOKENS, 1)

    held(
        model,
        batches,
        [
            lambda: batches.embed([text(1, 8)]),
            lambda: batches.embed([text(2, 16), text(2, 7)]),
            lambda: batches.embed([text(3, 16), text(3, 8), text(3, 8)]),
        ],
    )

    runs = [sorted(len(t) for t in run) for run in model.runs[1:]]
    assert sorted(runs) == [[7, 8, 8, 8], [16, 16]]


def test_a_short_document_does_not_wait_for_a_long_one(model: Model) -> None:
    batches = Batches(model, TOKENS, 1)

    held(
        model,
        batches,
        [
            lambda: batches.embed([text(1)] * 80),
            lambda: batches.embed([text(2), text(2)]),
        ],
    )

    first = [number for run in model.runs[:3] for number, *_ in run]
    assert first.count(2) == 2


def test_texts_of_very_different_length_are_not_padded_to_the_longest(model: Model) -> None:
    Batches(model, TOKENS, 1).embed([text(1, 3), text(1, 12), text(1, 11), text(1, 3), text(1, 99)])

    assert [[len(t) for t in run] for run in model.runs] == [[99], [12, 11], [3, 3]]


def test_as_many_batches_run_at_a_time_as_there_may_be_threads(model: Model) -> None:
    batches = Batches(model, TOKENS, THREADS)
    model.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(batches.embed, [text(number) for number in range(80)])
        while model.running < THREADS:
            pass
        model.gate.set()
        assert [vector[0] for vector in future.result(10)] == list(range(80))

    assert model.most == THREADS
    while batches._workers:
        pass


def test_progress_is_told_in_the_thread_that_asked(model: Model) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int) -> None:
        told.append((done, threading.get_ident()))

    Batches(model, TOKENS, 1).embed([text(1)] * 20, tell)

    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (20, threading.get_ident())
    assert {thread for _, thread in told} == {threading.get_ident()}


def test_a_failure_reaches_those_whose_text_was_in_the_batch_and_the_next_ones_go_on(
    model: Model,
) -> None:
    batches = Batches(model, TOKENS, 1)

    answers = held(
        model,
        batches,
        [lambda: batches.embed([text(-1)]), lambda: batches.embed([text(2)])],
    )

    assert isinstance(answers[0], ValueError)
    assert batches.embed([text(3)])[0][0] == 3
    assert batches._requests == []


def test_what_no_thread_could_be_had_for_keeps_no_later_text_waiting(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    batches = Batches(model, TOKENS, 1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="thread"):
            batches.embed([text(1)])

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(batches.embed, [text(2)]).result(10)[0][0] == 2


def test_whatever_ends_a_batch_reaches_its_callers() -> None:
    def end(texts: list[list[int]]) -> NDArray[np.float32]:
        raise SystemExit(len(texts))

    with pytest.raises(SystemExit):
        Batches(end, TOKENS, 1).embed([text(1)])


def test_who_gives_up_takes_the_rest_of_the_work_along() -> None:
    given_up = threading.Event()
    runs: list[int] = []

    def run(texts: list[list[int]]) -> NDArray[np.float32]:
        runs.append(len(texts))
        assert len(runs) == 1 or given_up.wait(10)
        return np.zeros((len(texts), 2), dtype=np.float32)

    def stop(done: int) -> None:
        raise InterruptedError(done)

    batches = Batches(run, TOKENS, 1)
    with pytest.raises(InterruptedError):
        batches.embed([text(1)] * 800, stop)
    given_up.set()
    assert len(batches.embed([text(2)])) == 1
    assert sum(runs) < 800


def test_closing_ends_the_batch_in_hand_and_lets_the_waiting_texts_go(model: Model) -> None:
    batches = Batches(model, TOKENS, 1)
    model.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        in_hand = pool.submit(batches.embed, [text(1)])
        assert model.began.wait(10)
        waiting = pool.submit(batches.embed, [text(2)])
        while len(batches._requests) < 2:
            pass
        closing = pool.submit(batches.close)

        assert isinstance(waiting.exception(10), ModelUnavailable)
        assert not closing.done()
        model.gate.set()
        assert in_hand.result(10)[0][0] == 1
        closing.result(10)

    assert len(model.runs) == 1
    with pytest.raises(ModelUnavailable, match="closed"):
        batches.embed([text(3)])


def test_a_daemon_thread_that_embeds_does_not_keep_the_interpreter() -> None:
    code = """
import threading, time
import numpy as np
from menos_vault.embeddings.batches import Batches

began = threading.Event()

def run(texts):
    began.set()
    time.sleep(0.1)
    return np.zeros((len(texts), 2))

batches = Batches(run, 1, 1)
threading.Thread(target=batches.embed, args=([[1]] * 100_000,), daemon=True).start()
assert began.wait(10)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True)

    assert done.returncode == 0, done.stderr


def test_many_threads_get_what_is_theirs(model: Model) -> None:
    batches = Batches(model, TOKENS, THREADS)

    def work(number: int) -> bool:
        texts = [text(number, 1 + place % 7) for place in range(number % 13)]
        return [tuple(v) for v in batches.embed(texts)] == [(number, len(t)) for t in texts]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(300)))
