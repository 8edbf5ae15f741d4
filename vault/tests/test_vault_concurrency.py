import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from menos_vault import (
    Chunk,
    RecordsLocked,
    Vault,
    VaultSettings,
    close_vault,
    content_id,
    open_vault,
    why_one_process,
)

THREADS = 8


def at_once(work: Callable[[int], object]) -> None:
    """Run `work(0)` to `work(7)` in eight threads that start together."""
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> None:
        barrier.wait()
        work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))


def vectors_of(value: float, count: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.full((count, 16), value, dtype=np.float32)


def chunks_of(text: str, count: int) -> list[Chunk]:
    return [Chunk(index=index, text=text) for index in range(count)]


def test_eight_threads_storing_different_contents_lose_nothing(vault: Vault) -> None:
    def store(number: int) -> None:
        for document in range(10):
            content = vault.records.put_content(
                f"{number}/{document}", content_type="text", title="T"
            )
            vault.records.replace_chunks(
                content.id, chunks_of("x", 5), vectors_of(number + 1, 5), model="m"
            )

    at_once(store)

    assert vault.records.counts() == (80, 400)


def test_eight_threads_merging_into_one_content_lose_nothing(vault: Vault) -> None:
    def merge(number: int) -> None:
        for field in range(10):
            vault.records.put_content(
                "same", content_type="text", title="T", metadata={f"{number}/{field}": number}
            )

    at_once(merge)

    assert vault.records.counts().contents == 1
    assert len(vault.records.get_content(content_id("same")).metadata) == 80


def test_eight_threads_replacing_the_same_chunks_leave_one_version_whole(vault: Vault) -> None:
    content = vault.records.put_content("same", content_type="text", title="T")

    def replace(number: int) -> None:
        for _ in range(5):
            count = number + 1
            vault.records.replace_chunks(
                content.id, chunks_of(str(number), count), vectors_of(1, count), model="m"
            )

    at_once(replace)

    chunks = vault.records.chunks(content.id)
    assert len({chunk.text for chunk in chunks}) == 1
    assert len(chunks) == int(chunks[0].text) + 1
    assert vault.records.counts() == (1, len(chunks))


def test_of_two_first_models_one_wins_and_the_other_is_refused(vault: Vault) -> None:
    from menos_vault import EmbeddingMismatch

    outcomes: list[str] = []

    def store(number: int) -> None:
        model = f"m{number % 2}"
        content = vault.records.put_content(str(number), content_type="text", title="T")
        try:
            vault.records.replace_chunks(
                content.id, chunks_of("x", 3), vectors_of(1, 3), model=model
            )
            outcomes.append(model)
        except EmbeddingMismatch:
            outcomes.append("refused")

    at_once(store)

    assert len(set(outcomes) - {"refused"}) == 1
    assert outcomes.count("refused") == THREADS // 2


def test_other_threads_go_on_while_a_large_write_runs(vault: Vault) -> None:
    content = vault.records.put_content("big", content_type="text", title="T")
    written = threading.Event()

    def write() -> None:
        vectors = np.random.default_rng(0).standard_normal((2000, 384)).astype(np.float32)
        vault.records.replace_chunks(content.id, chunks_of("x", 2000), vectors, model="m")
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    turns = 0
    while not written.wait(0.001):
        turns += 1
    thread.join()

    assert turns > 10


def test_a_second_process_is_told_that_the_folder_is_in_use(settings: VaultSettings) -> None:
    code = (
        "from menos_vault import *\n"
        "try: Vault().records.ping()\n"
        "except RecordsLocked as error: print(error)"
    )
    with Vault(settings) as vault:
        vault.records.ping()
        answer = run_python(code, settings)

    assert str(settings.records_folder) in answer
    assert "another process" in answer
    assert run_python("from menos_vault import *; Vault().records.ping()", settings) == ""


def test_a_second_vault_in_this_process_is_told_so_too_until_the_first_is_closed(
    settings: VaultSettings,
) -> None:
    with Vault(settings) as vault:
        vault.records.ping()
        with pytest.raises(RecordsLocked), Vault(settings) as second:
            second.records.ping()

    with Vault(settings) as third:
        third.records.ping()


def test_acknowledged_writes_survive_a_kill(settings: VaultSettings) -> None:
    code = (
        "import numpy as np\n"
        "from menos_vault import *\n"
        "records = Vault().records\n"
        "for number in range(10_000):\n"
        "    content = records.put_content(str(number), content_type='text', title='T')\n"
        "    chunks = [Chunk(index=index, text='x') for index in range(3)]\n"
        "    vectors = np.random.standard_normal((3, 16)).astype(np.float32)\n"
        "    records.replace_chunks(content.id, chunks, vectors, model='m')\n"
        "    print(number, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment(settings), text=True
    )
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.readlines()
    process.wait()
    process.stdout.close()

    with Vault(settings) as vault:
        for line in acknowledged:
            if line.endswith("\n"):
                assert len(vault.records.chunks(content_id(line.strip()))) == 3
        counts = vault.records.counts()
        assert counts.chunks % 3 == 0
        query = np.ones(16, dtype=np.float32)
        assert len(vault.records.search(query, model="m", limit=50)) == 50


@pytest.mark.parametrize("ending", ["vault.close()", "pass", "close_vault()"])
def test_a_process_ends_cleanly_with_and_without_closing(
    settings: VaultSettings, ending: str
) -> None:
    code = (
        "import threading\n"
        "from menos_vault import *\n"
        "vault = open_vault()\n"
        "def write(number):\n"
        "    try:\n"
        "        while True:\n"
        "            vault.records.put_content(str(number), content_type='t', title='x' * 999)\n"
        "    except VaultClosed: pass\n"
        "vault.records.ping()\n"
        "for n in range(4): threading.Thread(target=write, args=(n,), daemon=True).start()\n"
        f"{ending}\n"
    )
    for _ in range(2):
        assert run_python(code, settings) == ""


def test_the_process_has_one_vault_and_a_new_one_after_closing(
    settings: VaultSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_HOME", str(settings.home))
    first = open_vault()
    assert open_vault() is first
    first.records.ping()

    close_vault()

    second = open_vault()
    assert second is not first
    second.records.ping()
    close_vault()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_gets_a_vault_of_its_own_and_leaves_the_parents_alone(
    settings: VaultSettings,
) -> None:
    code = (
        "import os, sys\n"
        "from menos_vault import *\n"
        "vault = open_vault(); vault.records.ping()\n"
        "if os.fork() == 0:\n"
        "    mine = open_vault()\n"
        "    ok = mine is not vault\n"
        "    try: mine.records.ping()\n"
        "    except RecordsLocked: pass\n"
        "    else: ok = False\n"
        "    vault.close(); close_vault(); os._exit(0 if ok else 1)\n"
        "_, status = os.wait()\n"
        "vault.records.ping(); sys.exit(status)\n"
    )

    run_python(code, settings)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_a_model_of_its_own_and_ends_without_the_parents(
    monkeypatch: pytest.MonkeyPatch, settings: VaultSettings, tiny_model: Path
) -> None:
    monkeypatch.setenv("MENOS_VAULT_MODEL_PATH", str(tiny_model))
    code = (
        "import gc, os, sys\n"
        "from menos_vault import *\n"
        "vector = open_vault().embeddings.embed_query('cat')\n"
        "if os.fork() == 0:\n"
        "    mine = open_vault(); gc.collect()\n"
        "    sys.exit(bool((mine.embeddings.embed_documents(['cat'])[0] - vector).any()))\n"
        "_, status = os.wait()\n"
        "sys.exit(status)\n"
    )

    run_python(code, settings)


def test_a_daemon_thread_that_asks_the_model_lets_the_interpreter_end(
    monkeypatch: pytest.MonkeyPatch, settings: VaultSettings, tiny_model: Path
) -> None:
    monkeypatch.setenv("MENOS_VAULT_MODEL_PATH", str(tiny_model))
    code = (
        "import threading\n"
        "from menos_vault import *\n"
        "embeddings, asked = open_vault().embeddings, threading.Barrier(5)\n"
        "def ask():\n"
        "    embeddings.embed_query('cat'); asked.wait()\n"
        "    try:\n"
        "        while True: embeddings.embed_query('cat ' * 200)\n"
        "    except ModelUnavailable: pass\n"
        "for _ in range(4): threading.Thread(target=ask, daemon=True).start()\n"
        "asked.wait()\n"
    )

    run_python(code, settings)


def environment(settings: VaultSettings) -> dict[str, str]:
    return {**os.environ, "MENOS_HOME": str(settings.home)}


def run_python(code: str, settings: VaultSettings) -> str:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        env=environment(settings),
        cwd=Path(__file__).parent,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    return answer.stdout.strip()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("MENOS_VAULT_URL", "", "surrealkv://"),
        ("MENOS_VAULT_URL", "mem://", "mem://"),
        ("MENOS_VAULT_URL", "ws://127.0.0.1:1", None),
        ("MENOS_VAULT_EMBEDDINGS", "nobody", None),
    ],
)
def test_only_a_vault_at_a_server_is_for_several_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, says: str | None
) -> None:
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    monkeypatch.setenv(variable, value)
    try:
        reason = why_one_process()
    finally:
        close_vault()

    assert says is None if reason is None else says in reason
