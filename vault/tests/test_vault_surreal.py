import shutil

import numpy as np
import pytest
from numpy.typing import NDArray

from menos_vault import (
    Chunk,
    ContentNotFound,
    EmbeddingMismatch,
    Filters,
    InvalidContent,
    Vault,
    VaultClosed,
    VaultSettings,
    content_id,
)
from menos_vault.records import NO_FILTERS, Records

AWKWARD = [
    'it\'s "quoted" `back` ⟨angle⟩',
    "'; DELETE content; --",
    "$id $vector {} [] ${x} <|10,20|> d'2020-01-01'",
    "tab \t line \n emoji 🦄 ünï العربية",
    "",
]


def unit(count: int, dimension: int = 16, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def passages(count: int, text: str = "passage") -> list[Chunk]:
    return [Chunk(index=index, text=f"{text} {index}") for index in range(count)]


def put(records: Records, key: str = "t:1", count: int = 0, seed: int = 0) -> str:
    content = records.put_content(key, content_type="text", title=f"Title of {key}")
    if count:
        records.replace_chunks(content.id, passages(count, key), unit(count, seed=seed), model="m")
    return content.id


def test_a_content_comes_back_as_it_was_put(records: Records) -> None:
    stored = records.put_content(
        "yt:abc",
        content_type="youtube",
        title="T",
        author="A",
        url="https://x",
        language="en",
        tags=["a", "b"],
        metadata={"views": 3, "none": None, "deep": {"list": [1, None, {"x": None}], "f": 1.5}},
        objects={"raw": "youtube/abc.json"},
        status="stored",
    )

    assert records.get_content(stored.id) == stored
    assert stored.id == content_id("yt:abc")
    assert stored.metadata == {
        "views": 3,
        "none": None,
        "deep": {"list": [1, None, {"x": None}], "f": 1.5},
    }
    assert stored.created_at.utcoffset() is not None
    assert type(stored.created_at).__name__ == "datetime"


def test_putting_again_merges_and_keeps_what_is_not_given(records: Records) -> None:
    first = records.put_content(
        "k", content_type="text", title="T", author="A", metadata={"a": 1}, objects={"x": "1"}
    )
    records.update_content(first.id, summary="S", status="done")

    second = records.put_content(
        "k", content_type="text", title="U", metadata={"b": 2}, objects={"y": "2"}, tags=["t"]
    )

    assert (second.title, second.author, second.summary) == ("U", "A", "S")
    assert (second.metadata, second.objects) == ({"a": 1, "b": 2}, {"x": "1", "y": "2"})
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert records.counts().contents == 1


def test_an_update_can_clear_fields_and_the_error_of_a_try(records: Records) -> None:
    identity = put(records)
    records.update_content(identity, error="no transcript", tags=["a"])

    content = records.update_content(identity, error=None, tags=None)

    assert (content.error, content.tags) == (None, [])


def test_a_status_is_noted_of_what_nobody_has_written_since(records: Records) -> None:
    seen = [
        records.put_content(key, content_type="text", title=key, status="stored")
        for key in ("a", "b", "c", "d")
    ]
    same, changed, deleted, left = (content.id for content in seen)
    records.update_content(changed, title="Other")
    records.delete_content(deleted)

    assert records.set_status(seen[:3], "done", "but") == {same}

    known = records.get_contents([content.id for content in seen])
    assert {identity: (it.status, it.error) for identity, it in known.items()} == {
        same: ("done", "but"),
        changed: ("stored", None),
        left: ("stored", None),
    }
    # It stands there already: nothing is written, so that it still is as it was seen.
    assert records.set_status([known[same], seen[0], seen[2]], "done", "but") == {same}
    assert records.get_content(same) == known[same]
    assert records.set_status([known[same]], "done") == {same}
    assert records.get_contents([]) == {}
    assert records.set_status([], "done") == set()


def test_what_is_noted_of_chunks_is_read_of_some_contents_or_of_all(records: Records) -> None:
    first, second, third = (
        records.put_content(key, content_type="text", title=key).id for key in ("a", "b", "c")
    )
    for identity in (first, second):
        records.replace_chunks(identity, passages(1), unit(1), model="m", fingerprint=identity)

    assert set(records.chunk_sets()) == {first, second}
    assert records.chunk_sets([second, third]) == {second: records.chunk_set(second)}
    assert records.chunk_sets([]) == {}


def test_an_unknown_id_is_not_found_and_nothing_is_made(records: Records) -> None:
    for identity in ("0" * 32, "", "content:x", "x" * 32, "0" * 31 + "`"):
        for use in (
            records.get_content,
            lambda identity: records.update_content(identity, title="x", tags=["x"]),
            records.chunks,
            lambda identity: records.replace_chunks(identity, passages(1), unit(1), model="m"),
        ):
            with pytest.raises(ContentNotFound):
                use(identity)
    assert records.search(query="x", by_words=True) == []
    assert records.counts() == (0, 0)


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"title": 5}, "'title'"),
    ({"title": None}, "title"),
    ({"bogus": 1}, "'bogus'"),
    ({"tags": "abc"}, "'tags'"),
    ({"metadata": {"x": {1, 2}}}, "'metadata"),
    ({"metadata": {"x": 2**70}}, "64 bits"),
    ({"metadata": {"x": [float("nan")]}}, "nan"),
    ({"metadata": None}, "never cleared"),
    ({"author": "\ud800"}, "'author' is refused: it has half a surrogate pair"),
    ({"metadata": {"a": [{"b\udfff": 1}]}}, "'metadata' is refused: it has half a surrogate"),
]


def test_a_value_that_cannot_be_held_is_refused_by_name(records: Records) -> None:
    identity = put(records)

    for fields, said in REFUSED:
        with pytest.raises(InvalidContent, match=said):
            records.update_content(identity, **fields)  # type: ignore[arg-type]

    assert records.get_content(identity).title == "Title of t:1"


@pytest.mark.parametrize("field", ["text", "heading"])
def test_half_a_surrogate_pair_in_a_chunk_is_refused_by_name(field: str) -> None:
    with pytest.raises(InvalidContent, match=f"'{field}' is refused: it has half a surrogate"):
        Chunk.model_validate({"index": 0, "text": "sea", field: "gull \ud800"})


@pytest.mark.parametrize("name", ["content_ids", "content_types", "authors", "languages", "tags"])
def test_half_a_surrogate_pair_in_a_filter_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidContent, match=f"'{name}' is refused: it has half a surrogate"):
        Filters.model_validate({name: ["sea", "gull \ud800"]})


def test_text_from_outside_is_only_text(records: Records) -> None:
    for text in AWKWARD:
        content = records.put_content(
            f"k{text}", content_type="text", title=text, metadata={text: text}, tags=[text]
        )
        chunk = Chunk(index=0, text=text, heading=text, start=1)
        records.replace_chunks(content.id, [chunk], unit(1), model="m'`")

        assert records.get_content(content.id).metadata == {text: text}
        only = Filters(content_ids=[content.id])
        [hit] = records.search(unit(1)[0], model="m'`", filters=only)
        assert (hit.chunk, hit.content.title) == (chunk, text)
    assert records.counts() == (len(AWKWARD), len(AWKWARD))


def test_the_character_nul_which_no_server_of_engine_2_can_hold_is_stored_visibly(
    records: Records,
) -> None:
    content = records.put_content(
        "k\0", content_type="text", title="a\0", author="e\0", metadata={"b\0": ["c\0", 1]}
    )
    chunk = Chunk(index=0, text="sea\0gull", heading="d\0")
    records.replace_chunks(content.id, [chunk], unit(1), model="m")

    assert content.id == content_id("k\0")
    assert (content.title, content.metadata) == ("a␀", {"b␀": ["c␀", 1]})
    assert records.list_contents(filters=Filters(authors=["e\0"])) == [content]
    assert records.count_contents(Filters(authors=["e\0"])) == 1
    [hit] = records.search(query="gull", by_words=True)
    assert (hit.chunk.text, hit.chunk.heading, hit.highlights) == ("sea␀gull", "d␀", [(4, 8)])


def test_contents_are_listed_the_newest_first(records: Records) -> None:
    ids = [put(records, f"k{number}") for number in range(5)]

    assert [content.id for content in records.list_contents(limit=3)] == ids[:1:-1]
    assert [content.id for content in records.list_contents(limit=3, offset=3)] == ids[1::-1]


def test_an_empty_vault_has_no_hits(records: Records) -> None:
    assert records.search(unit(1)[0], model="m") == []
    put(records)
    assert records.search(unit(1)[0], model="m") == []


def test_a_search_right_after_a_write_is_exact(records: Records) -> None:
    vectors = np.concatenate([unit(30, seed=seed) for seed in range(4)])
    for seed in range(4):
        put(records, f"k{seed}", count=30, seed=seed)
        query = unit(1, seed=99 + seed)[0]

        hits = records.search(query, model="m", limit=7)

        expected = np.sort(vectors[: 30 * (seed + 1)] @ query)[::-1][:7]
        assert [hit.score for hit in hits] == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_limit_beyond_the_vault_gives_all_of_it(records: Records) -> None:
    put(records, count=25)

    assert len(records.search(unit(1)[0], model="m", limit=1000)) == 25


def test_a_senseless_limit_is_refused(records: Records) -> None:
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidContent, match="1 to 1000"):
            records.search(unit(1)[0], model="m", limit=limit)


def test_replacing_chunks_twice_leaves_what_once_leaves(records: Records) -> None:
    identity = put(records, count=3)
    before = records.chunks(identity)

    records.replace_chunks(identity, passages(3, "t:1"), unit(3), model="m")

    assert records.chunks(identity) == before
    assert records.counts() == (1, 3)


def test_leftovers_of_a_longer_version_are_deleted_and_neighbours_stay(records: Records) -> None:
    first, second = put(records, "a", count=12), put(records, "b", count=4)

    records.replace_chunks(first, passages(2, "new"), unit(2), model="m")
    assert [chunk.text for chunk in records.chunks(first)] == ["new 0", "new 1"]
    records.replace_chunks(first, [], np.empty((0, 16), np.float32), model="m")

    assert records.chunks(first) == []
    assert len(records.chunks(second)) == 4
    assert {hit.content.id for hit in records.search(unit(1)[0], model="m")} == {second}


def test_a_document_of_a_thousand_chunks_is_one_write(records: Records) -> None:
    identity = put(records)
    vectors = unit(1010)

    records.replace_chunks(identity, passages(1010), vectors, model="m")

    assert [chunk.index for chunk in records.chunks(identity)] == list(range(1010))
    assert records.search(vectors[1000], model="m", limit=1)[0].chunk.index == 1000


@pytest.mark.parametrize(("model", "dimension"), [("other", 16), ("m", 8)])
def test_vectors_of_another_model_are_refused_and_both_are_named(
    records: Records, model: str, dimension: int
) -> None:
    identity = put(records, count=2)
    said = f"'m' with 16 dimensions.*'{model}' with {dimension};.*reindex"

    with pytest.raises(EmbeddingMismatch, match=said):
        records.replace_chunks(identity, passages(1), unit(1, dimension), model=model)
    for filters in (NO_FILTERS, Filters(authors=["nobody"])):
        with pytest.raises(EmbeddingMismatch, match=said):
            records.search(unit(1, dimension)[0], model=model, filters=filters)

    assert len(records.chunks(identity)) == 2


def test_chunks_and_vectors_that_do_not_fit_are_refused(records: Records) -> None:
    identity = put(records)

    for chunks, vectors, said in (
        (passages(2), unit(1), "shape"),
        (passages(1), unit(1)[0], "shape"),
        (passages(2)[::-1], unit(2), "indexes"),
        (passages(1), np.zeros((1, 16), np.float32), "all zero"),
        (passages(1), np.full((1, 16), np.nan, np.float32), "not a number"),
    ):
        with pytest.raises(InvalidContent, match=said):
            records.replace_chunks(identity, chunks, vectors, model="m")


def test_after_a_change_of_model_texts_stay_and_are_found_once_written_again(
    records: Records,
) -> None:
    identity = put(records, count=5)

    records.change_model("new", 8)

    assert len(records.chunks(identity)) == 5
    assert records.search(unit(1, 8)[0], model="new") == []
    records.replace_chunks(identity, records.chunks(identity), unit(5, 8), model="new")
    assert len(records.search(unit(1, 8)[0], model="new")) == 5
    with pytest.raises(EmbeddingMismatch):
        records.search(unit(1)[0], model="m")


def test_everything_is_there_after_reopening(settings: VaultSettings) -> None:
    with Vault(settings) as vault:
        identity = put(vault.records, count=20)
        content = vault.records.get_content(identity)
        hits = vault.records.search(unit(1, seed=5)[0], model="m")

    with Vault(settings) as vault:
        assert vault.records.get_content(identity) == content
        assert vault.records.search(unit(1, seed=5)[0], model="m") == hits
        with pytest.raises(EmbeddingMismatch):
            vault.records.search(unit(1)[0], model="other")


def test_a_vault_that_was_deleted_while_closed_starts_empty(settings: VaultSettings) -> None:
    with Vault(settings) as vault:
        put(vault.records, count=2)
    shutil.rmtree(settings.home)

    with Vault(settings) as vault:
        assert vault.records.counts() == (0, 0)
        put(vault.records, count=2)
        assert len(vault.records.search(unit(1)[0], model="m")) == 2


def test_a_closed_vault_says_so(settings: VaultSettings) -> None:
    vault = Vault(settings)
    records = vault.records
    records.ping()

    vault.close()
    vault.close()

    with pytest.raises(VaultClosed):
        records.counts()
    with pytest.raises(VaultClosed):
        _ = vault.records
