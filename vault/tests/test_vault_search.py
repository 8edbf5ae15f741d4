"""Searching by words, by meaning and by both; filters, pages, groups, highlights."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from surrealdb import RecordID

from menos_vault import Chunk, ContentNotFound, Filters, Vault, content_id
from menos_vault.records import Records
from menos_vault.records.hits import read_hits
from menos_vault.records.index.local import Found
from menos_vault.records.index.ranking import CLOSE, NEIGHBOURS, SIMILARITY_WEIGHT
from menos_vault.records.index.tables import Place
from menos_vault.records.surreal import SurrealRecords

AXES = np.eye(8, dtype=np.float32)


def put(
    records: Records, key: str, *texts: str, vectors: NDArray[np.float32] | None = None, **fields
) -> str:
    fields = {"content_type": "text", "title": key} | fields
    content = records.put_content(key, **fields)
    if vectors is None:
        vectors = np.tile(AXES[0], (len(texts), 1))
    chunks = [Chunk(index=index, text=text) for index, text in enumerate(texts)]
    records.replace_chunks(content.id, chunks, vectors, model="m")
    return content.id


def found(records: Records, query: str, **options) -> list[str]:
    return [hit.content.resource_key for hit in words(records, query, **options)]


def words(records: Records, query: str, **options):
    return records.search(query=query, by_words=True, **options)


def test_a_query_as_long_as_a_text_is_read_beyond_its_first_words(records: Records) -> None:
    put(records, "late", "The keel is heavy.")
    put(records, "other", "Nothing of that kind.")
    query = " ".join(["no1", *(f"some{number}x word{number}" for number in range(50)), "keel"])
    too_long = query + "".join(f" more{number}" for number in range(300))

    assert found(records, query) == found(records, too_long) == ["late"]


def test_words_are_found_in_texts_titles_and_headings_whatever_their_form(records: Records) -> None:
    put(records, "text", "Sailing boats heel.")
    put(records, "title", "Nothing.", title="On Sails")
    identity = put(records, "heading", "Nothing else.")
    chunk = Chunk(index=0, text="Nothing else.", heading="Guide › To SAIL")
    records.replace_chunks(identity, [chunk], AXES[:1], model="m")

    assert set(found(records, "sail")) == {"text", "title", "heading"}
    assert found(records, "boat") == ["text"]
    assert found(records, "ship") == []


def test_a_rare_word_counts_more_than_a_common_one(records: Records) -> None:
    for number in range(9):
        put(records, f"common{number}", "the wind blows over the sea")
    put(records, "rare", "the albatross")

    assert found(records, "the wind albatross")[0] == "rare"
    assert len(found(records, "the wind albatross", limit=100)) == 10


def test_what_a_query_says_more_often_counts_more(records: Records) -> None:
    put(records, "gull", "a gull above the sea")
    put(records, "tern", "a tern above the sea")
    for number in range(4):
        put(records, f"other{number}", "waves under the moon")

    assert found(records, "tern, gull: where does the gull go?", limit=2) == ["gull", "tern"]
    assert found(records, "gull, tern: where does the tern go?", limit=2) == ["tern", "gull"]
    assert found(records, 'gull, "a tern": where does "a tern" go?', limit=2) == ["tern", "gull"]
    once, twice = (words(records, query)[0].keywords for query in ("gull", "gull gull"))
    assert twice == pytest.approx(2 * once)


def test_a_phrase_does_not_begin_in_the_title_and_end_in_the_text(records: Records) -> None:
    put(records, "blue", "whale", "a blue whale")

    assert [hit.chunk.index for hit in words(records, '"blue whale"')] == [1]


def test_a_phrase_may_go_over_the_lines_of_a_title_but_not_beyond_it(records: Records) -> None:
    put(records, "lines", "finds a gull", title="the blue\n\nwhale\nsings")

    assert found(records, '"blue whale"') == ["lines"]
    assert found(records, '"whale sings"') == ["lines"]
    assert found(records, '"sings finds"') == []
    assert found(records, '"a gull"') == ["lines"]


def test_a_word_that_is_said_without_end_costs_no_more_than_one_that_is_said_often(
    records: Records,
) -> None:
    put(records, "gull", "a gull above the sea")
    put(records, "tern", "a tern above the sea")

    often, endlessly = (words(records, query)[0].keywords for query in ("gull " * 8, "gull " * 900))

    assert endlessly == pytest.approx(often)


def test_words_that_stand_everywhere_are_found_if_there_are_no_others(records: Records) -> None:
    put(records, "many", *["the sea"] * 1200)
    put(records, "one", "the albatross")

    assert len(found(records, "the sea, the unheard", limit=1000)) == 1000
    assert found(records, "the albatross", limit=1000) == ["one"]


def test_a_query_is_words_and_never_syntax(records: Records) -> None:
    put(records, "k", "the sea")

    for query in (
        'sea" OR "x',
        "NEAR(sea x)",
        "text:sea",
        "sea*",
        "- sea ^",
        "sea AND NOT sea",
        "sea\x00",
    ):
        assert found(records, query) == ["k"], query
    assert found(records, "🦄") == []


def test_words_in_quotation_marks_are_one_phrase(records: Records) -> None:
    put(records, "apart", "red sea, then a fish")
    put(records, "together", "the sea fish is red")

    for query in ('"sea fish"', "“sea fish”", "„sea fish“", "«sea fish»"):
        assert found(records, query) == ["together"]


def test_both_kinds_together_find_what_either_finds(records: Records) -> None:
    put(records, "meaning", "something", vectors=AXES[1:2])
    put(records, "words", "albatross", vectors=AXES[2:3])
    put(records, "both", "albatross", vectors=AXES[1:2])

    hits = records.search(AXES[1], model="m", query="albatross", by_words=True)

    assert [hit.content.resource_key for hit in hits] == ["both", "meaning", "words"]
    assert [hit.similarity for hit in hits] == pytest.approx([1, 1, 0])
    assert [bool(hit.keywords) for hit in hits] == [True, False, True]
    own = [1, SIMILARITY_WEIGHT, 1 - SIMILARITY_WEIGHT]
    assert [2 * hit.combined - hit.neighbours for hit in hits] == pytest.approx(own)
    assert hits[2].neighbours == pytest.approx(own[2])  # nothing is like it
    assert [hit.score for hit in hits] == [hit.similarity for hit in hits]


@pytest.mark.parametrize(
    ("query", "highlighted"),
    [
        ("数据库", ["数据库"]),
        ("如何安装数据库?", ["安装", "数据库"]),
        ("据", ["据"]),
        ("库", ["库"]),
        ("gpu", ["GPU"]),
        ("GPU加速", ["GPU", "加速"]),
        ('"GPU 加速"', ["GPU加速"]),
        ('"速指南"', ["速\n指南"]),
        ('"数据 库"', ["数据库"]),
        ('"据库安"', None),
        ('"加速指南"', ["加速\n指南"]),
        ("实时", None),  # sounds like 事实
        ("数 库", ["数", "库"]),
    ],
)
def test_text_without_spaces_is_found_by_any_two_letters_in_a_row(
    records: Records, query, highlighted
) -> None:
    text = "安装新数据库:用GPU加速\n指南,事实。"
    put(records, "zh", "Nothing.", text, title="文件")
    put(records, "other", "GP u", "数 装")

    hits = [hit for hit in words(records, query) if hit.content.resource_key == "zh"]

    assert [hit.chunk.index for hit in hits] == ([] if highlighted is None else [1])
    for hit in hits:
        assert [text[begin:end] for begin, end in hit.highlights] == highlighted


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("データベース", "ja"),
        ("データベースの設計とは", "ja"),
        ("데이터베이스", "ko"),
        ("หนังสือ", "th"),
        ("भाषा", "hi"),
        ("हिन्दी", "hi"),
        ("שלום", "he"),
        ("cafe", "fr"),
        ("cafe\u0301", "fr"),
    ],
)
def test_words_are_found_in_any_script(records: Records, query: str, key: str) -> None:
    put(records, "ja", "良いデータベースを設計する。")
    put(records, "ko", "좋은 데이터베이스를 만든다.")
    put(records, "th", "ฉันอ่านหนังสือทุกวัน")
    put(records, "hi", "यह हिन्दी भाषा है।")
    put(records, "he", "שלום לכולם")
    put(records, "fr", "Un cafe\u0301 noir.")

    assert found(records, query)[:1] == [key]


def test_a_new_title_without_spaces_is_found_in_place_of_the_old_one(records: Records) -> None:
    put(records, "a", "text", title="数据库")
    records.put_content("a", content_type="text", title="搜索引擎")

    assert (found(records, "数据"), found(records, "索引")) == ([], ["a"])


def test_where_nothing_is_close_the_words_decide(records: Records) -> None:
    query = 0.3 * AXES[0] + 0.954 * AXES[1]
    put(records, "other", *["a note"] * 9, vectors=np.tile(AXES[0], (9, 1)))
    put(records, "named", "the note zx81", vectors=AXES[2:3])

    hits = records.search(query, model="m", query="zx81", by_words=True)

    assert hits[0].content.resource_key == "named"
    assert hits[0].combined == pytest.approx(1 - SIMILARITY_WEIGHT)
    assert hits[1].combined == pytest.approx(SIMILARITY_WEIGHT * 0.3 / CLOSE, abs=1e-4)


def test_what_is_like_the_best_comes_before_what_only_shares_words(records: Records) -> None:
    put(records, "best", "gull", "gull", vectors=AXES[[0, 0]])
    put(records, "like", "something", vectors=0.8 * AXES[:1] + 0.6 * AXES[2:3])
    put(records, "stray", "gull", vectors=0.3 * AXES[:1] + 0.954 * AXES[1:2])
    search = {"vector": AXES[0], "model": "m", "query": "gull", "by_words": True}

    hits = records.search(**search, per_content=2)

    assert [hit.content.resource_key for hit in hits] == ["best", "like", "stray"]
    like, stray = hits[1:]
    assert 2 * like.combined - like.neighbours < 2 * stray.combined - stray.neighbours
    passages = records.search(**search)
    assert [hit.content.resource_key for hit in passages] == ["best", "best", "like", "stray"]


def test_only_the_best_have_a_say_in_each_other_and_all_others_come_after_them(
    records: Records,
) -> None:
    put(records, "many", *["gull"] * 120, vectors=np.tile(AXES[0], (120, 1)))
    put(records, "worse", *["sea"] * 5, vectors=np.tile(AXES[1], (5, 1)))

    hits = records.search(AXES[0], model="m", query="gull", by_words=True, limit=200)

    assert len(hits) == 125
    assert [hit.chunk.index for hit in hits[:120]] == list(range(120))
    assert [hit.neighbours is None for hit in hits] == [False] * NEIGHBOURS + [True] * (
        125 - NEIGHBOURS
    )


def test_pages_follow_on_each_other_in_every_mode(records: Records) -> None:
    random = np.random.default_rng(1)
    for number in range(14):
        vectors = random.standard_normal((3, 8)).astype(np.float32)
        texts = [f"sea {'gull ' * random.integers(1, 9)}" for _ in range(3)]
        put(records, f"k{number}", *texts, vectors=vectors)

    for options in ({"query": "gull", "by_words": True}, {}):
        for per_content, total in ((0, 42), (2, 14)):
            search = {"vector": AXES[3], "model": "m", "per_content": per_content} | options
            whole = records.search(**search, limit=total)
            pages = [records.search(**search, limit=7, offset=o) for o in range(0, total, 7)]

            assert len(whole) == total
            places = [(hit.content.id, hit.chunk.index) for page in pages for hit in page]
            assert places == [(hit.content.id, hit.chunk.index) for hit in whole]
    assert records.search(AXES[3], model="m", offset=42) == []


def test_grouped_by_content_each_has_its_best_passages(records: Records) -> None:
    put(records, "long", *["sea"] * 5, vectors=AXES[[1, 0, 1, 1, 1]])
    put(records, "short", "sea", vectors=AXES[2:3])

    hits = records.search(AXES[0], model="m", limit=2, per_content=3)

    assert [(hit.content.resource_key, hit.chunk.index) for hit in hits] == [
        ("long", 1),
        ("short", 0),
    ]
    assert [other.chunk.index for other in hits[0].others] == [0, 2]
    assert hits[1].others == []


def test_words_of_the_query_are_highlighted_in_any_kind_of_search(records: Records) -> None:
    put(records, "k", "A sailing boat, ünder Sails.")
    put(records, "other", "Nothing.")

    for by_words in (True, False):
        hits = records.search(AXES[0], model="m", query="the under sail", by_words=by_words)
        [hit] = [hit for hit in hits if hit.content.resource_key == "k"]

        assert [hit.chunk.text[a:b] for a, b in hit.highlights] == ["sailing", "ünder", "Sails"]


def test_short_words_are_highlighted_unless_they_say_nothing(records: Records) -> None:
    put(records, "k", "An AI in C: the safety of it is to be seen.")

    for query, highlighted in (
        ("AI safety", ["AI", "safety"]),
        ("What is the safety of an AI?", ["AI", "safety"]),
        ("how is it to use C?", ["C"]),
        ("the", ["the"]),
    ):
        [hit] = records.search(AXES[0], model="m", query=query)

        assert [hit.chunk.text[a:b] for a, b in hit.highlights] == highlighted


PUBLISHED = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def library(records: Records) -> Records:
    put(
        records,
        "a",
        "sea",
        tags=["x", "y"],
        author="Ann",
        language="zh-Hant-TW",
        content_type="note",
    )
    put(records, "b", "sea", tags=["x"], author="Ben", language="zh", published_at=PUBLISHED)
    put(
        records,
        "c",
        "sea",
        author="Ann",
        language="en",
        metadata={"published_at": "2025-05-01T00:00:00Z"},
    )
    return records


FILTERS: list[tuple[dict[str, object], str]] = [
    ({}, "abc"),
    ({"content_types": ["note"]}, "a"),
    ({"content_types": ["note", "text"]}, "abc"),
    ({"authors": ["Ann"]}, "ac"),
    ({"tags": ["x"]}, "ab"),
    ({"tags": ["x", "y"]}, "a"),
    ({"tags": ["nothing"]}, ""),
    ({"languages": ["zh"]}, "ab"),
    ({"languages": ["ZH-hant"]}, "a"),
    ({"languages": ["zh-Hant-TW", "en"]}, "ac"),
    ({"languages": ["z_", "z", "Hant"]}, ""),
    ({"published_from": "2024-05-01"}, "bc"),
    ({"published_before": "2024-05-01"}, ""),
    ({"published_from": "2024-01-01", "published_before": "2025-01-01"}, "b"),
    ({"content_ids": [content_id("b"), "nonsense"]}, "b"),
    ({"authors": ["Ann"], "languages": ["en"]}, "c"),
    ({"authors": ["' OR 1 --"]}, ""),
]


def test_a_filter_filters(library: Records) -> None:
    for filters, passing in FILTERS:
        chosen = Filters.model_validate(filters)

        assert "".join(sorted(found(library, "sea", filters=chosen))) == passing, filters
        hits = library.search(AXES[0], model="m", filters=chosen)
        assert "".join(sorted(hit.content.resource_key for hit in hits)) == passing, filters
        if "nonsense" not in chosen.content_ids:
            listed = library.list_contents(filters=chosen)
            assert "".join(sorted(content.resource_key for content in listed)) == passing, filters
            assert library.count_contents(chosen) == len(passing), filters


def test_a_filter_lets_everything_through_that_passes(records: Records) -> None:
    vectors = np.random.default_rng(2).standard_normal((500, 8)).astype(np.float32)
    put(records, "many", *["sea"] * 500, vectors=vectors)
    put(records, "few", "sea", "sea", vectors=-vectors[:2], tags=["rare"])

    rare = Filters(tags=["rare"])
    hits = records.search(vectors[0], model="m", filters=rare)
    both = records.search(vectors[0], model="m", query="sea", by_words=True, filters=rare)

    for found in (hits, both):
        assert [hit.content.resource_key for hit in found] == ["few", "few"]


def test_what_does_not_pass_is_no_measure_for_the_rest(records: Records) -> None:
    put(records, "out", "sea sea sea", vectors=AXES[:1])
    put(records, "in", "the sea", vectors=2 * AXES[:1] + AXES[1:2], tags=["in"])

    [hit] = records.search(
        AXES[0], model="m", query="sea", by_words=True, filters=Filters(tags=["in"])
    )

    assert hit.combined == pytest.approx(1)


def test_what_is_like_a_content_comes_first_and_itself_not_at_all(records: Records) -> None:
    identity = put(records, "this", "a", "b", vectors=AXES[[0, 1]])
    put(records, "near", "a", "b", vectors=AXES[[2, 0]])
    put(records, "far", "a", vectors=AXES[3:4])
    records.put_content("bare", content_type="text", title="no chunks")

    hits = records.similar(identity)

    assert [hit.content.resource_key for hit in hits] == ["near", "far"]
    assert hits[0].chunk.index == 1
    assert records.similar(content_id("bare")) == []
    with pytest.raises(ContentNotFound):
        records.similar("0" * 32)


def test_changes_of_a_record_count_at_once(library: Records) -> None:
    library.update_content(content_id("a"), title="Albatross", tags=["z"])

    assert found(library, "albatross", filters=Filters(tags=["z"])) == ["a"]
    assert found(library, "sea", filters=Filters(tags=["y"])) == []


def test_what_is_deleted_is_gone_from_every_search(library: Records) -> None:
    library.delete_content(content_id("a"))

    assert sorted(found(library, "sea")) == ["b", "c"]
    assert len(library.search(AXES[0], model="m")) == 2
    assert library.counts() == (2, 2)
    assert library.chunk_set(content_id("a")) is None
    with pytest.raises(ContentNotFound):
        library.delete_content(content_id("a"))
    put(library, "a", "sea again")
    assert len(found(library, "sea")) == 3


def test_after_a_change_of_model_words_are_found_and_meanings_come_back(library: Records) -> None:
    library.change_model("new", 4)

    assert len(found(library, "sea")) == 3
    query = np.ones(4, dtype=np.float32)
    assert library.search(query, model="new") == []
    chunks = library.chunks(content_id("a"))
    library.replace_chunks(content_id("a"), chunks, query[None], model="new")
    assert len(library.search(query, model="new")) == 1
    assert len(library.search(query, model="new", query="sea", by_words=True)) == 3


def test_a_content_that_came_along_with_each_of_its_passages_is_made_once(vault: Vault) -> None:
    made = []

    class Row(dict[str, Any]):
        def items(self) -> Any:
            made.append(self)
            return super().items()

    records = vault.records
    assert isinstance(records, SurrealRecords)
    identity, now = RecordID("content", "k"), datetime.now(UTC)
    fields = {"resource_key": "k", "content_type": "text", "title": "T"}
    content = Row(id=identity, created_at=now, updated_at=now, **fields)
    chunks = [{"content": identity, "index": index, "text": "sea"} for index in range(3)]
    passages = [
        Found(Place("k", number), 1, 1, None, None, (chunk, content))
        for number, chunk in enumerate(chunks)
    ]

    hits = read_hits(records._open(), passages, "", grouped=False)

    assert [hit.chunk.index for hit in hits] == [0, 1, 2]
    assert len(made) == 1


def test_what_is_the_same_has_a_score_of_one_and_no_more(records: Records) -> None:
    vectors = np.random.default_rng(1).normal(size=(8, 384)).astype(np.float32)
    identities = [
        put(records, f"{name}:{number}", "sea", vectors=vector[np.newaxis])
        for number, vector in enumerate(vectors)
        for name in ("one", "other")
    ]

    similar = [records.similar(identity, limit=1)[0] for identity in identities]
    by_meaning = [records.search(vector, model="m", limit=1)[0] for vector in vectors]
    by_both = [
        records.search(vector, model="m", query="sea", by_words=True, limit=1)[0]
        for vector in vectors
    ]

    for hits in (similar, by_meaning, by_both):
        assert [hit.score for hit in hits] == pytest.approx([1] * len(hits))
        for hit in hits:
            assert max(hit.score, hit.similarity, hit.combined, hit.neighbours or 0) <= 1
