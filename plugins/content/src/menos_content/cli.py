"""``menos-bus vault``: look after the vault from a shell. Every command calls a task."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import click
from pydantic_core import from_json

from menos_bus import BusError, InvalidCall
from menos_bus.cli.plugins import call_task, json_option, print_json, print_table, says_errors
from menos_content.new_file import new_file
from menos_content.text_files import LeftOut, files_of, line_of

_MOST_AT_A_TIME: Final = 100
"""Lines to import, or contents to delete, that one call takes."""

_MOST_BYTES: Final = 4_000_000
_PLACE: Final = re.compile(r"^lines\.(\d+)(\.?)")
"""Where in a call a problem is: ``lines.0.title`` is the title of its first line."""


class BadLine(BusError):
    """A line of a file to import is no JSON object."""

    code = "bad_line"


@click.group()
def vault() -> None:
    """Add, list, show, delete, export and import what is in the vault."""


@vault.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@click.option("--offset", default=0, type=click.IntRange(min=0), help="Leave so many out.")
@click.option("--type", "content_type", help="Only contents of this type.")
@click.option("--tag", help="Only contents with this tag.")
@click.option("--author", help="Only contents by this author.")
@json_option
@says_errors
def list_(as_json: bool, **asked: Any) -> None:
    """List the contents, the newest first."""
    found = call_task("tasks.list_content", **{n: v for n, v in asked.items() if v is not None})
    if as_json:
        print_json(found)
        return
    print_table(
        ("content_id", "type", "status", "updated", "title"),
        [
            (
                row["content_id"],
                row["content_type"],
                row["status"] or "",
                row["updated_at"][:16].replace("T", " "),
                row["title"],
            )
            for row in found["contents"]
        ],
    )
    click.echo(f"{len(found['contents'])} of {found['total']} shown")


@vault.command()
@click.argument("content_id")
@click.option("--text", is_flag=True, help="Show the whole text as well.")
@click.option(
    "--link-seconds",
    default=3600,
    show_default=True,
    type=click.IntRange(0, 604_800),
    help="How long links to its objects at an S3 server work, for anybody; 0 for no links.",
)
@says_errors
def show(**asked: Any) -> None:
    """Show all that is known of a content, as JSON."""
    print_json(call_task("tasks.show_content", **asked))


@vault.command()
@click.argument("content_ids", nargs=-1, required=True, metavar="CONTENT_ID...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@says_errors
def delete(content_ids: tuple[str, ...], yes: bool) -> None:
    """Delete contents with their passages and stored objects. It cannot be undone.

    Ids that no content has are named, and keep no others back.
    """
    there = list(dict.fromkeys(content_ids))
    missing: list[str] = []
    if not yes:
        there, missing = _looked_up(there)
        _name_missing(missing)
        if there:
            click.confirm(f"Delete {len(there)} for good?", abort=True)
    for batch in _in_batches(there):
        result = call_task("tasks.delete_content", content_id=batch)
        for deleted in result["deleted"]:
            click.echo(f"deleted {deleted['content_id']}  {deleted['title']}")
        _name_missing(result["missing"])
        missing += result["missing"]
    if missing:
        sys.exit(1)


@vault.command()
@json_option
@says_errors
def stats(as_json: bool) -> None:
    """Count what is in the vault."""
    found = call_task("tasks.vault_stats")
    if as_json:
        print_json(found)
        return
    facts = {name: found[name] for name in ("contents", "chunks", "model", "dimension")}
    rows = [(name, "-" if fact is None else str(fact)) for name, fact in facts.items()]
    for group, one in (("content_types", "content type"), ("statuses", "status")):
        rows += [(f"{one} {name}", str(count)) for name, count in found[group].items()]
    print_table(("what", "how much"), rows)


@vault.command()
@click.argument("file", type=click.Path(dir_okay=False), default="-")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@says_errors
def export(file: str, force: bool) -> None:
    """Write all contents with their texts into a FILE, one JSON object a line.

    The file is there when all is written; until then one that is to be replaced stays as it is.
    Objects that the vault has lost are named, and the command ends with 1.
    """
    offset: int | None = 0
    count = 0
    lost = []
    with new_file(file, replace=force) as lines:
        while offset is not None:
            page = call_task("tasks.export_content", offset=offset)
            for line in page["lines"]:
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")
                count += 1
            lost += page["lost"]
            offset = page["next"]
    for one in lost:
        click.echo(
            f"content {one['content_id']} ({one['title']!r}) has lost its {one['object']}: store "
            "or ingest it again",
            err=True,
        )
    click.echo(_counted(count), err=True)
    if lost:
        sys.exit(1)


@vault.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--embed", is_flag=True, help="Make them searchable at once.")
@says_errors
def import_(file: IO[bytes], embed: bool) -> None:
    """Store the contents of a FILE that `export` wrote; - is standard input."""
    _store(_lines(file), embed=embed)


@vault.command()
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--tag", "tags", multiple=True, help="Tag them; repeatable.")
@says_errors
def add(paths: Sequence[Path], tags: Sequence[str]) -> None:
    """Store text files and those in folders, and make them searchable.

    Text files are .md, .markdown, .txt and .rst, in UTF-8; what is left out is named. A file that
    is added again takes the place of what it was before.
    """
    if not _store(_files(paths, list(tags)), embed=True):
        sys.exit(1)


def _store(lines: Iterable[_Line], *, embed: bool) -> int:
    """Import lines, as many a call as it takes, and say what became of them.

    Returns:
        How many there were.
    """
    count = 0
    failed = []
    process = ["embed"] if embed else []
    try:
        for batch in _batches(lines):
            contents = [line.content for line in batch]
            try:
                imported = call_task("tasks.import_content", lines=contents, process=process)
            except InvalidCall as error:
                raise _in_file(error, [line.place for line in batch]) from None
            count += len(imported["content_ids"])
            failed += imported["failed"]
    except BadLine:
        if count:
            but = ", but for those that failed" if failed else ""
            click.echo(
                f"{count} contents before it are stored{but}: mend it, and do all of it again, or "
                "what is left",
                err=True,
            )
        raise
    finally:
        if failed:
            print_json({"failed": failed})
    hint = "; `menos-bus vault reindex --missing` makes new ones searchable"
    click.echo(_counted(count) + ("" if embed or not count else hint), err=True)
    if failed:
        sys.exit(1)
    return count


@vault.command()
@click.option("--missing", is_flag=True, help="Embed also what was never embedded.")
@says_errors
def reindex(missing: bool) -> None:
    """Embed again what is of another model, or was cut in another way."""
    result = call_task("tasks.reindex_content", missing=missing)
    print_json(result)
    if result["failed"]:
        sys.exit(1)


def _counted(count: int) -> str:
    return f"{count} content{'' if count == 1 else 's'}"


def _looked_up(content_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Show the contents with these ids; returns the ids that there are, and those there are not."""
    there: list[str] = []
    for batch in _in_batches(content_ids):
        found = call_task("tasks.list_content", content_id=batch)["contents"]
        for content in found:
            click.echo(f"{content['content_id']}  {content['title']}")
        there += [content["content_id"] for content in found]
    return there, [content_id for content_id in content_ids if content_id not in there]


def _in_batches(content_ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(content_ids), _MOST_AT_A_TIME):
        yield list(content_ids[start : start + _MOST_AT_A_TIME])


def _name_missing(content_ids: Sequence[str]) -> None:
    for content_id in content_ids:
        click.echo(f"there is no content {content_id} (content_not_found)", err=True)


def _in_file(error: InvalidCall, places: list[str]) -> BadLine:
    """Say which lines of the file are wrong, and not which ones of the call."""

    def where(place: re.Match[str]) -> str:
        return f"{places[int(place[1])]}{': ' if place[2] else ''}"

    return BadLine("; ".join(_PLACE.sub(where, str(problem)) for problem in error.problems))


class _Line(NamedTuple):
    """A content to store, and where it is from."""

    place: str
    content: dict[str, Any]
    size: int


def _lines(file: IO[bytes]) -> Iterator[_Line]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield _Line(f"line {number}", _parsed(line, number), len(line))


def _files(paths: Iterable[Path], tags: list[str]) -> Iterator[_Line]:
    for file in (file for path in paths for file in files_of(path)):
        try:
            content = line_of(file)
        except LeftOut as why:
            click.echo(f"left out {file}: {why}", err=True)
        else:
            given = {"tags": tags} if tags else {}  # else those that it has stay
            yield _Line(str(file), {**content, **given}, len(content["text"].encode()))


def _batches(lines: Iterable[_Line]) -> Iterator[list[_Line]]:
    """So many lines at a time that one call can take them."""
    batch: list[_Line] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == _MOST_AT_A_TIME or size + line.size > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line.size
    if batch:
        yield batch


def _parsed(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = from_json(line.decode("utf-8-sig"), allow_inf_nan=False)
    except UnicodeDecodeError:
        raise BadLine(f"line {number} is not UTF-8 text: convert it") from None
    except ValueError as error:
        said = str(error).replace(" at line 1 column", " at column")
        raise BadLine(f"line {number} is not JSON: {said}") from None
    if not isinstance(found, dict):
        raise BadLine(f"line {number} is no JSON object")
    return found
