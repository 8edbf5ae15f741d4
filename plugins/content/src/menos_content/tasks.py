"""The tasks of the plugin ``content``. Nothing heavy is imported before one runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, cast

from typing_extensions import TypedDict

from menos_content import fields
from menos_content.document import read_document
from menos_content.operations import operations_named
from menos_content.process import Outcomes
from menos_content.process import process as run
from menos_content.store import default_key, store
from menos_vault import open_vault

if TYPE_CHECKING:
    from menos_vault.records import NewContent


class Stored(TypedDict):
    """The result of :func:`store_content`; ``processed`` only with ``process``."""

    status: Literal["success"]
    content_id: str
    title: str
    processed: NotRequired[Outcomes]


def store_content(
    text: fields.Text,
    title: fields.Title,
    resource_key: fields.ResourceKey = None,
    content_type: fields.ContentType = "text",
    author: fields.Author = None,
    url: fields.Url = None,
    language: fields.Language = None,
    tags: fields.Tags = None,
    metadata: fields.Metadata = None,
    process: fields.Process = [],  # noqa: B006 - each call gets a checked copy
) -> Stored:
    """Store a text, so that it can be processed and found; with ``process`` do that as well.

    The text is archived, then the content's record is written. The same ``resource_key`` is the
    same content: what is given replaces what is stored (``metadata`` key by key), what is left out
    stays. A changed text takes the summary away and sets the status back to ``stored``; until it
    is processed again, searches find the passages of the text before.

    Returns:
        Id and title; with ``process`` also how each operation ended, as ``process_content`` says
        it. Where that fails, this call does, and what was stored stays.

    Raises:
        Permanent: another plugin stored a content under this key (``resource_key_taken``), or the
            content was deleted while this call went on (``content_not_found``).
        TaskError, VaultError: the vault could not store it, or an operation failed as it does in
            ``process_content``; its code says why.
    """
    optional = {
        "author": author,
        "url": url,
        "language": language,
        "tags": tags,
        "metadata": metadata,
    }
    given = {name: value for name, value in optional.items() if value is not None}
    vault = open_vault()
    new = {
        **given,
        "resource_key": resource_key or default_key(title, text),
        "content_type": content_type,
        "title": title,
    }
    content = store(vault, text, cast("NewContent", new))
    result: Stored = {"status": "success", "content_id": content.id, "title": content.title}
    if process:
        document = read_document(vault, content)
        result["processed"] = run(vault, document, operations_named(process))
    return result


def process_content(
    content_id: fields.ContentId,
    operations: fields.Operations = ["embed", "summarize"],  # noqa: B006 - calls get a copy
) -> Outcomes:
    """Make a stored content searchable (``embed``) and summarise it (``summarize``).

    Plugins may add operations. Each is done by itself: one that fails does not undo another, nor
    keep it back, and one that has nothing new to do is skipped.

    Returns:
        ``{"embed": "completed", "summarize": "skipped"}``: how each operation that was asked for
        ended. ``failed`` only beside others that did not: ``errors`` has its code and message then.

    Raises:
        ContentNotFound: there is no content with this id, or it was deleted while it was processed
            (``content_not_found``).
        Permanent: the content has no text (``no_text``), or damaged times (``bad_segments``).
        Retryable: its text was changed meanwhile (``content_changed``).
        TaskError, VaultError: an operation failed, and another try may help or none succeeded; its
            code says why.
    """
    vault = open_vault()
    document = read_document(vault, vault.records.get_content(content_id))
    return run(vault, document, operations_named(operations))
