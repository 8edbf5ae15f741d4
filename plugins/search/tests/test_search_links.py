"""Links to a second of a video."""

import pytest

from menos_search.links import link_to_second


@pytest.mark.parametrize(
    ("url", "start", "expected"),
    [
        ("https://www.youtube.com/watch?v=x", 93.7, "https://www.youtube.com/watch?v=x&t=93s"),
        ("https://www.youtube.com/watch?v=x", 0.0, "https://www.youtube.com/watch?v=x&t=0s"),
        ("https://youtube.com/watch?t=5&v=x", 9.0, "https://youtube.com/watch?v=x&t=9s"),
        ("https://youtu.be/x", 61.0, "https://youtu.be/x?t=61s"),
        ("https://m.youtube.com/watch?v=x#a", 1.0, "https://m.youtube.com/watch?v=x&t=1s#a"),
        ("https://www.youtube.com/watch?v=x", None, "https://www.youtube.com/watch?v=x"),
        ("https://notyoutube.com/watch?v=x", 9.0, "https://notyoutube.com/watch?v=x"),
        ("https://youtube.com.evil.example/x", 9.0, "https://youtube.com.evil.example/x"),
        ("https://example.org/podcast", 9.0, "https://example.org/podcast"),
        ("https://[broken", 9.0, "https://[broken"),
    ],
)
def test_only_links_of_youtube_get_a_second(url, start, expected):
    assert link_to_second(url, start) == expected
