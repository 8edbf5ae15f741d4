"""From a text to passages."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from menos_content.chunking import chunk_document
from menos_content.document import Document
from menos_content.markdown import headings
from menos_vault import Content

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def document(text, content_type="text", segments=()):
    content = Content(
        id="0" * 32,
        resource_key="x",
        content_type=content_type,
        title="x",
        created_at=NOW,
        updated_at=NOW,
    )
    return Document(content, text, list(segments))


@pytest.fixture
def split(model):
    def split(text, content_type="text", segments=(), tokens=200, overlap=40):
        return chunk_document(
            document(text, content_type, segments),
            model.token_starts(text),
            tokens=tokens,
            overlap=overlap,
        )

    return split


def assert_covers(chunks, text):
    """Each passage is in the text, in order, and only white space lies between two of them."""
    covered = start = 0
    for chunk in chunks:
        start = text.index(chunk.text, start)
        assert not text[covered:start].strip()
        covered = max(covered, start + len(chunk.text))
    assert not text[covered:].strip()


@pytest.mark.parametrize("content_type", ["text", "markdown"])
def test_a_long_text_is_covered_by_passages_that_the_model_reads_whole(split, model, content_type):
    text = "".join(
        f"## Part {n}\n\nGrüße no. {n}: “Naïve” 漢字 🎉 text says {n * n}.\r\n\r\nMore of {n}.\n\n"
        for n in range(7_000)
    )
    assert len(text) > 450_000

    chunks = split(text, content_type)

    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert_covers(chunks, text)
    assert max(model.count_tokens(chunk.text) for chunk in chunks[::50]) <= model.max_tokens


def test_passages_overlap(split):
    text = " ".join(f"Sentence number {n} is here." for n in range(300))

    chunks = split(text)

    assert all(second.text.split(".")[0] in first.text for first, second in pairwise(chunks))


def test_letters_without_an_end_are_cut(split):
    text = "".join(f"x{n:x}" for n in range(20_000))

    chunks = split(text)

    assert_covers(chunks, text)
    assert max(len(chunk.text) for chunk in chunks) <= 2400


def test_a_passage_knows_the_headings_above_it(split):
    body = "Words that say something about the matter at hand, at some length. " * 30
    text = f"Preface.\n\n# Guide\n\n{body}\n\nSetup *now*\n---\n\n```\n# no heading\n```\n\n{body}"

    chunks = split(text, "markdown")

    assert chunks[0].heading is None
    assert {chunk.heading for chunk in chunks[1:]} == {"Guide", "Guide › Setup now"}


@pytest.mark.parametrize("end", ["\n\n", "\n", "\r\n"])
def test_a_passage_that_begins_with_headings_knows_the_last_of_them(split, end):
    [chunk] = split(
        end.join(["# Guide", "## Setup", "### 1. *Now*", "Words.", "## End"]), "markdown"
    )

    assert chunk.heading == "Guide › Setup › 1. Now"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_front_matter_is_no_heading_of_what_stands_below_it(split, end):
    body = "Words that say something about the matter at hand, at some length. " * 30
    lines = ["---", "title: A page", "tags: [a, b]", "---", "", body, "", "### Setup", "", body]
    text = end.join(lines)

    chunks = split(text, "markdown")

    assert {chunk.heading for chunk in chunks} == {None, "Setup"}
    assert next(chunk for chunk in chunks if chunk.heading).text.startswith("### Setup")


def test_what_stands_between_two_rules_may_be_a_heading():
    assert headings("---\nGuide\n---\n\nWords.") == [(4, "Guide")]


def test_a_heading_is_no_passage_of_its_own(split):
    body = "".join(f"Words that say something about thing number {n}. " for n in range(50))
    text = f"# Guide\n\n## Setup\n\n{body}\n\n# End\n\n{body.replace('some', 'more')}"

    chunks = split(text, "markdown")

    assert chunks[0].text.startswith("# Guide\n\n## Setup\n\nWords")
    assert chunks[0].heading == "Guide › Setup"
    assert not any(chunk.text.startswith("#") and "Words" not in chunk.text for chunk in chunks)
    assert_covers(chunks, text)


def test_the_fence_of_a_code_block_is_no_passage_of_its_own(split):
    code = "\n".join(f"value_{n} = compute(value_{n - 1}, {n})" for n in range(60))
    text = f"# Guide\n\nWords before it.\n\n```python\n{code}\n```\n\nWords after it.\n"

    chunks = split(text, "markdown")

    assert not any(set(chunk.text.split()) <= {"```python", "```", "#"} for chunk in chunks)
    assert_covers(chunks, text)


def test_seconds_are_those_of_the_segment_in_which_a_passage_begins(split):
    text = "\n".join(["Über 🎉 one two three four five."] * 100)
    segments = [(n * 33, float(n)) for n in range(100)]

    chunks = split(text, segments=segments, overlap=0)

    offset = 0
    for chunk in chunks:
        offset = text.index(chunk.text, offset)
        assert chunk.start == offset // 33
        offset += len(chunk.text)


def test_plain_text_has_neither_seconds_nor_headings(split):
    [chunk] = split("# Not a heading in plain text")

    assert (chunk.start, chunk.heading) == (None, None)


def test_headings_without_end_make_passages_that_the_model_reads_whole(split, model):
    text = "\n\n".join(f"# Heading number {n}" for n in range(2000))

    chunks = split(text, "markdown")

    assert_covers(chunks, text)
    assert max(model.count_tokens(chunk.text) for chunk in chunks) <= model.max_tokens
