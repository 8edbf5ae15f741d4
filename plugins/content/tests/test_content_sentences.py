"""From a text to sentences, and which of them are chosen."""

from datetime import UTC, datetime

import numpy as np
import pytest

from menos_content.document import Document
from menos_content.markdown import plain
from menos_content.sentences import sentences
from menos_content.summarize import choose
from menos_vault import Content

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def document(text, content_type="text", language=None):
    content = Content(
        id="0" * 32,
        resource_key="x",
        content_type=content_type,
        title="x",
        language=language,
        created_at=NOW,
        updated_at=NOW,
    )
    return Document(content, text, [])


def test_abbreviations_end_no_sentence_and_line_ends_are_spaces():
    text = "Dr. Smith went to Washington\non Monday. He came back by train on Friday."

    assert sentences(document(text)) == [
        "Dr. Smith went to Washington on Monday.",
        "He came back by train on Friday.",
    ]


def test_markdown_gives_its_paragraphs_only():
    text = (
        "# Title of the whole thing\n\nA paragraph with words in it.\n\n```\ncode that is long\n```"
    )

    assert sentences(document(text, "markdown")) == ["A paragraph with words in it."]


def test_front_matter_is_no_sentence():
    text = "---\ntitle: What the page is called\ntags:\n  - a\n---\n\nA paragraph with words in it."

    assert sentences(document(text, "markdown")) == ["A paragraph with words in it."]


def test_marks_that_two_sentences_share_leave_nothing_in_either():
    text = (
        "**The first sentence has words in it. The second one** goes on and on. "
        f"See [the page on rye bread. It is long](https://example.com/{'x' * 400}), "
        "which says more about it."
    )

    assert sentences(document(text, "markdown")) == [
        "The first sentence has words in it.",
        "The second one goes on and on.",
        "See the page on rye bread.",
        "It is long, which says more about it.",
    ]


@pytest.mark.parametrize("content_type", ["text", "markdown"])
def test_a_heading_is_no_sentence_whatever_the_text_is_called(content_type):
    text = (
        "# How the whole thing is called?\n## And what stands below it\n"
        "The first sentence has words in it.\n\n### Another one of them ###\n\n"
        "The second sentence goes on\nin another line.\n## One without a line around it\n"
        "The third sentence is the last one."
    )

    assert sentences(document(text, content_type)) == [
        "The first sentence has words in it.",
        "The second sentence goes on in another line.",
        "The third sentence is the last one.",
    ]


def test_a_number_sign_makes_no_heading_of_a_sentence():
    text = (
        "# 1 in the charts for weeks, it sold well.\n\nIn May the song came to\n"
        "# 1 in the charts of the country\nwhere it was made.\n\n#music is what it was tagged with."
    )

    assert sentences(document(text)) == [
        "# 1 in the charts for weeks, it sold well.",
        "In May the song came to # 1 in the charts of the country where it was made.",
        "#music is what it was tagged with.",
    ]


def test_a_text_of_headings_has_no_sentences():
    assert sentences(document("# One heading of a text\n\n## Another heading of it\n")) == []


def test_short_sentences_count_only_where_there_are_no_others():
    assert sentences(document("Yes! This one is long enough to count.")) == [
        "This one is long enough to count."
    ]
    assert sentences(document("Yes! No!")) == ["Yes!", "No!"]


def test_sentences_of_few_signs_count_where_each_says_much():
    text = "北京是中国的首都。长城有两千多年的历史！是的。"

    assert sentences(document(text)) == ["北京是中国的首都。", "长城有两千多年的历史！"]


@pytest.mark.parametrize("unit", ["word ", "x", "漢字", "(\"'", "e.g. ", "A. "])
def test_text_without_sentence_ends_is_cut_to_readable_length(unit):
    found = sentences(document(unit * (300_000 // len(unit))))

    assert found
    assert max(map(len, found)) <= 300


def test_a_mark_of_headings_before_any_number_of_spaces_is_read_in_one_go():
    assert sentences(document("#" + " " * 1_000_000)) == ["#"]


def test_marks_of_markdown_are_taken_off():
    assert plain("**Bold** and [a link](https://x.y) with `code`.") == "Bold and a link with code."


def test_a_summary_does_not_say_the_same_thing_twice():
    same, other = [1.0, 0.0], [0.6, 0.8]
    vectors = np.array([same, same, same, other], dtype=np.float32)

    assert choose(vectors, [600, 600, 600, 590]) == [0, 3]


def test_a_summary_has_at_most_five_sentences_and_1200_characters():
    vectors = np.eye(10, dtype=np.float32)

    assert len(choose(vectors, [10] * 10)) == 5
    assert len(choose(vectors, [300] * 10)) == 3
    assert choose(vectors, [1201] * 10) == []
