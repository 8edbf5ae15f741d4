"""A file that is there whole or not at all."""

import os
import resource
import threading
from contextlib import contextmanager

import click
import pytest

from menos_content.new_file import new_file


@contextmanager
def files_of_at_most(size):
    """What a full disk is to who writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_written_and_replaced_only_if_told(tmp_path):
    path = tmp_path / "vault.jsonl"
    with new_file(str(path), replace=False) as file:
        file.write("old\n")
        assert not path.exists()
    path.chmod(0o600)

    with pytest.raises(click.BadParameter, match="--force"), new_file(str(path), replace=False):
        pass
    assert path.read_text() == "old\n"

    with new_file(str(path), replace=True) as file:
        file.write("new\n")
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_stops_it_leaves_the_old_file_whole_and_nothing_else(tmp_path):
    path = tmp_path / "vault.jsonl"
    path.write_text("old\n")

    def written(name, text="half", error=None):
        with new_file(str(name), replace=True) as file:
            file.write(text)
            if error:
                raise error

    with pytest.raises(KeyboardInterrupt):
        written(path, error=KeyboardInterrupt())
    with files_of_at_most(1000), pytest.raises(click.ClickException, match="that was there is as"):
        written(path, "x" * 2000)
    for name in (tmp_path / "no" / "folder", path / "x"):
        with pytest.raises(click.ClickException, match="cannot write"):
            written(name)

    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_of_the_process_is_written_to():
    reading, writing = os.pipe()

    with new_file(f"/dev/fd/{writing}", replace=False) as file:
        file.write("new\n")
    os.close(writing)

    with os.fdopen(reading) as pipe:
        assert pipe.read() == "new\n"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "vault.jsonl"

    def write_slowly():
        with new_file(str(path), replace=False) as file:
            file.write("new\n")
            path.write_text("somebody else's\n")

    with pytest.raises(click.BadParameter, match="is there already"):
        write_slowly()

    assert path.read_text() == "somebody else's\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path):
    path, link, pipe = tmp_path / "vault.jsonl", tmp_path / "link", tmp_path / "pipe"
    path.write_text("old\n")
    link.symlink_to(path)
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()

    for name in (link, pipe):
        with new_file(str(name), replace=True) as file:
            file.write("new\n")

    reader.join(10)
    assert (link.is_symlink(), path.read_text(), read) == (True, "new\n", ["new\n"])
