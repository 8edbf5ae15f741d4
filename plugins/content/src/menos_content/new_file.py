"""A file that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click


@contextmanager
def new_file(name: str, *, replace: bool) -> Iterator[IO[str]]:
    """Open a text file that takes its name when all of it is written.

    What is written goes into a file beside it, so that whatever stops this leaves a file that has
    the name already as it is. ``-`` is standard output; pipes and devices are written to directly.

    Args:
        name: the file.
        replace: whether it may take the place of a file that is there.

    Raises:
        BadParameter: there is a file of this name, and it is not to be replaced.
        ClickException: it cannot be written; says why.
    """
    if name == "-":
        yield sys.stdout
        return
    old = Path(name).is_file()
    direct = Path(name).exists() and not old
    there = click.BadParameter(
        f"{name} is there already: take another name, or add --force to replace it",
        param_hint="FILE",
    )
    if old and not replace:
        raise there
    path = Path(os.path.realpath(name))  # the file itself, and not a link to it, is replaced
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if direct:
            with Path(name).open("w", encoding="utf-8") as file:
                yield file
            return
        with part.open("w", encoding="utf-8") as file:
            if old:
                shutil.copymode(path, part)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not replace and path.exists():  # somebody else has made it meanwhile
            raise there
        part.replace(path)
    except OSError as error:
        left = "; the file that was there is as it was" if old else ""
        raise click.ClickException(
            f"cannot write {name}: {error.strerror or error}{left}"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
