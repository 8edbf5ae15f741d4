"""A disk that is full: each write says so, searches go on, and a second try repairs."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from menos_vault import (
    Chunk,
    ObjectsUnavailable,
    RecordsUnavailable,
    Vault,
    VaultSettings,
    content_id,
)

ONES = np.ones(384, dtype=np.float32)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB; whoever may not make one leaves this to others."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def put(vault: Vault, number: int) -> None:
    content = vault.records.put_content(str(number), content_type="text", title="T")
    chunks = [Chunk(index=index, text="the sea " * 40) for index in range(3)]
    vault.records.replace_chunks(content.id, chunks, np.tile(ONES, (3, 1)), model="m")


def fill(work: Callable[[int], None]) -> int:
    """Work until the disk is full; returns the number that failed."""
    done: list[int] = []

    def work_on() -> None:
        for number in range(10_000):
            work(number)
            done.append(number)

    with pytest.raises((RecordsUnavailable, ObjectsUnavailable), match="space") as full:
        work_on()
    assert full.value.retryable
    return len(done)


def test_records_that_found_no_space_are_whole_after_a_second_try(disk: Path) -> None:
    settings = VaultSettings(home=disk / "home")
    with Vault(settings) as vault:
        failed = fill(lambda number: put(vault, number))
        for _ in range(3):
            with pytest.raises(RecordsUnavailable, match="space"):
                put(vault, failed)
        assert len(vault.records.search(ONES, model="m", limit=1000)) >= 3 * (failed - 1)

        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        put(vault, failed)
        counts = vault.records.counts()

    with Vault(settings) as vault:
        assert vault.records.counts() == counts == (failed + 1, 3 * (failed + 1))
        assert len(vault.records.chunks(content_id(str(failed)))) == 3
        for search in ({"vector": ONES, "model": "m"}, {"query": "sea", "by_words": True}):
            assert len(vault.records.search(**search, limit=1000)) == counts.chunks


def test_an_object_that_found_no_space_is_not_there(disk: Path) -> None:
    with Vault(VaultSettings(home=disk / "home")) as vault:
        failed = fill(lambda number: vault.objects.put(f"x/{number}", os.urandom(100_000)))

        assert not vault.objects.exists(f"x/{failed}")
        assert len(vault.objects.get(f"x/{failed - 1}")) == 100_000
