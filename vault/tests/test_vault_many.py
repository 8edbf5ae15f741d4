"""Several contents in one write: in this process and at servers."""

import threading
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from menos_vault import (
    Chunk,
    ContentNotFound,
    InvalidContent,
    NewChunks,
    content_id,
)
from menos_vault.records import NewContent, Records


def new(key: str, **fields: Any) -> NewContent:
    return {"resource_key": key, "content_type": "text", "title": f"Title of {key}", **fields}  # type: ignore[typeddict-item]


def put(records: Records, *keys: str) -> list[str]:
    return [content.id for content in records.put_contents([new(key) for key in keys])]


def unit(count: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def chunks_of(identity: str, word: str, count: int, seed: int = 0) -> NewChunks:
    chunks = [Chunk(index=index, text=f"{word} {index}") for index in range(count)]
    return NewChunks(identity, chunks, unit(count, seed=seed), fingerprint=f"{word}/{count}")


def found(records: Records, word: str) -> list[tuple[str, int]]:
    hits = records.search(query=word, by_words=True, limit=1000)
    return sorted((hit.content.title, hit.chunk.index) for hit in hits)


def test_contents_are_stored_and_merged_each_by_itself(records: Records) -> None:
    records.put_content("b", content_type="old", title="Old", author="Ada", metadata={"x": 1})

    stored = records.put_contents(
        [new("a", tags=["one"]), new("b", metadata={"y": 2}), new("c", language="en")]
    )

    assert [content.resource_key for content in stored] == ["a", "b", "c"]
    assert stored == [records.get_content(content_id(key)) for key in "abc"]
    assert stored[0].tags == ["one"]
    assert (stored[1].author, stored[1].content_type) == ("Ada", "text")
    assert stored[1].metadata == {"x": 1, "y": 2}
    assert records.put_contents([]) == []


def test_a_content_that_another_vault_had_keeps_its_age_and_one_that_is_here_its_own(
    records: Records,
) -> None:
    here = records.put_contents([new("a")])[0].created_at
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)

    written = records.put_contents([new(key, created_at=long_ago) for key in ("a", "b")])

    assert [content.created_at for content in written] == [here, long_ago]
    assert [content.resource_key for content in records.list_contents()] == ["a", "b"]


def test_of_contents_with_one_key_the_last_one_counts(records: Records) -> None:
    stored = records.put_contents([new("a", author="A"), new("b"), new("a", language="en")])

    assert [content.resource_key for content in stored] == ["a", "b", "a"]
    assert stored[0] == stored[2] == records.get_content(content_id("a"))
    assert (stored[0].author, stored[0].language) == (None, "en")


@pytest.mark.parametrize("wrong", [{"metadata": {"n": 2**64}}, {"resource_key": ""}])
def test_one_content_that_is_refused_keeps_all_back(
    records: Records, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidContent):
        records.put_contents([new("a"), new("b", **wrong)])

    assert records.counts() == (0, 0)


def test_tags_of_people_and_of_a_model_that_are_written_at_once_are_all_there(
    records: Records,
) -> None:
    keys = [f"k{number}" for number in range(8)]
    identities = put(records, *keys)

    def people() -> None:
        records.put_contents([new(key, tags=["mine"]) for key in keys])

    def model() -> None:
        for identity in identities:
            records.update_content(identity, metadata={"digest": {"tags": ["said"]}})

    threads = [threading.Thread(target=people), threading.Thread(target=model)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    contents = records.get_contents(identities).values()
    assert [content.tags for content in contents] == [["mine", "said"]] * 8


def test_the_calls_that_stored_a_content_are_known_the_latest_ones(records: Records) -> None:
    for number in range(18):
        records.put_contents([new("a", stored_by=f"call {number}"), new("b")])
    records.put_contents([new("a", stored_by="call 9")])

    a, b = records.put_contents([new("a"), new("b")])

    assert a.stored_by == [*(f"call {n}" for n in range(2, 18) if n != 9), "call 9"]
    assert b.stored_by == []


def test_calls_that_store_a_content_at_once_are_all_known(records: Records) -> None:
    threads = [
        threading.Thread(target=records.put_contents, args=([new("a", stored_by=str(number))],))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(records.get_content(content_id("a")).stored_by) == [*"01234567"]


def test_of_a_deleted_content_the_calls_that_stored_it_are_known_for_a_day(
    records: Records,
) -> None:
    a, b, c = put(records, "a", "b", "c")
    for number in range(20):
        records.put_contents([new("a", stored_by=f"call {number}"), new("b", stored_by="call")])
    for identity in (a, b, c):
        records.delete_content(identity)
    assert records.deleted_stores([a, b, c]) == {
        a: [f"call {number}" for number in range(4, 20)],
        b: ["call"],
    }

    records.put_contents([new("a", stored_by="call 20"), new("b", stored_by="call")])
    assert records.deleted_stores([b]) == {b: ["call"]}
    records.delete_content(a)
    assert records.deleted_stores([a])[a] == [f"call {number}" for number in range(5, 21)]
    assert records.deleted_stores([]) == {}

    ask = records._upkeep.connection.ask  # type: ignore[attr-defined]
    ask("DEFINE FIELD OVERWRITE deleted_at ON deletion TYPE datetime")
    ask("UPDATE deletion SET deleted_at = time::now() - 25h")
    ask("DEFINE FIELD OVERWRITE deleted_at ON deletion TYPE datetime VALUE time::now()")
    records.delete_content(b)
    assert records.deleted_stores([a, b]) == {b: ["call"]}


def test_a_new_title_is_that_of_all_passages_of_each(records: Records) -> None:
    identities = put(records, "a", "b")
    records.replace_many_chunks(
        [chunks_of(identity, "gull", 120, seed) for seed, identity in enumerate(identities)],
        model="m",
    )

    renamed = [new("a"), new("b")]
    renamed[0]["title"], renamed[1]["title"] = "Kittiwake", "Fulmar"
    records.put_contents(renamed)

    assert found(records, "kittiwake") == [("Kittiwake", index) for index in range(120)]
    assert found(records, "fulmar") == [("Fulmar", index) for index in range(120)]
    assert found(records, "title") == []


def test_chunks_of_several_take_the_place_of_longer_and_shorter_versions(records: Records) -> None:
    long, short, other = put(records, "long", "short", "other")
    records.replace_many_chunks(
        [chunks_of(long, "gull", 5, 1), chunks_of(short, "gull", 1, 2)], model="m", chunker="c"
    )
    records.replace_many_chunks([chunks_of(other, "tern", 3, 3)], model="m", chunker="c")

    records.replace_many_chunks(
        [chunks_of(long, "skua", 2, 4), chunks_of(short, "skua", 4, 5)], model="m", chunker="d"
    )

    assert [len(records.chunks(identity)) for identity in (long, short, other)] == [2, 4, 3]
    assert found(records, "gull") == []
    assert found(records, "skua") == [
        *(("Title of long", index) for index in range(2)),
        *(("Title of short", index) for index in range(4)),
    ]
    known = records.chunk_sets([long, short])
    assert {name: (one.count, one.chunker, one.fingerprint) for name, one in known.items()} == {
        long: (2, "d", "skua/2"),
        short: (4, "d", "skua/4"),
    }
    for identity, count, seed in ((long, 2, 4), (short, 4, 5), (other, 3, 3)):
        for index, vector in enumerate(unit(count, seed=seed)):
            [hit] = records.search(vector, model="m", limit=1)
            assert (hit.content.id, hit.chunk.index) == (identity, index)


def test_more_passages_than_a_server_takes_in_one_write_are_all_found_and_done(
    records: Records,
) -> None:
    identities = put(records, "a", "b", "c")

    records.replace_many_chunks(
        [chunks_of(identity, "gull", 100, seed) for seed, identity in enumerate(identities)],
        model="m",
    )

    assert len(found(records, "gull")) == 300
    done = records.chunk_sets(identities).values()
    assert [one.fingerprint for one in done] == ["gull/100"] * 3


def test_a_content_that_is_not_there_is_named_and_none_gets_chunks(records: Records) -> None:
    [there] = put(records, "there")
    gone = content_id("gone")

    with pytest.raises(ContentNotFound) as refused:
        records.replace_many_chunks(
            [chunks_of(there, "gull", 2), chunks_of(gone, "gull", 2)], model="m"
        )

    assert gone in str(refused.value)
    assert records.counts() == (1, 0)
    assert found(records, "gull") == []


def test_vectors_of_two_dimensions_are_refused(records: Records) -> None:
    one, two = put(records, "one", "two")
    wide = NewChunks(two, [Chunk(index=0, text="x")], unit(1, dimension=16))

    with pytest.raises(InvalidContent, match=r"\[8, 16\]"):
        records.replace_many_chunks([chunks_of(one, "gull", 2), wide], model="m")

    assert records.counts() == (2, 0)
    assert records.model() is None


def test_those_who_write_overlapping_groups_wait_for_each_other(records: Records) -> None:
    identities = put(records, *(f"k{number}" for number in range(12)))
    failed: list[Exception] = []

    def write(first: int, word: str) -> None:
        order = identities[first:] + identities[:first]
        try:
            for _ in range(3):
                some = [chunks_of(identity, word, 2) for identity in order[:8]]
                records.replace_many_chunks(some, model="m")
                records.put_contents([new(f"k{number}", tags=[word]) for number in range(8)])
        except Exception as error:
            failed.append(error)

    threads = [
        threading.Thread(target=write, args=(first, word))
        for first, word in ((0, "gull"), (4, "tern"), (8, "skua"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    by_word = sum(len(found(records, word)) for word in ("gull", "tern", "skua"))
    assert by_word == records.counts().chunks == 24
