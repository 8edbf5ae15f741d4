"""Text files as lines of an import."""

import pytest

from menos_content.text_files import line_of


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "Words.\n\n# On *bees*\n\n# More\n", "On bees"),
        ("a.md", "On bees\n=======\n\nWords.\n", "On bees"),
        ("a.md", "\ufeff# On bees\n\nWords.\n", "On bees"),
        ("a.md", "```sh\n# no heading\n```\n\n# On bees\n", "On bees"),
        ("a.md", "```sh\n# no heading\n```\n\n## Hives\n", "a.md"),
        ("a.md", "---\n# no heading\ntitle: x\n---\n\nWords.\n", "a.md"),
        ("a.txt", "# On bees\n\nWords.\n", "On bees"),
        ("a.txt", "Words.\n", "a.txt"),
    ],
)
def test_the_title_of_a_file_is_its_first_heading_of_the_first_level(tmp_path, name, text, title):
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert line_of(tmp_path / name)["title"] == title
