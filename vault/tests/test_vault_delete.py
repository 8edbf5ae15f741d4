"""Deleting a content: all of it goes, and nothing of another one."""

import pytest

from menos_vault import ContentNotFound, Vault, content_id


def stored(vault: Vault, resource_key: str, *keys: str, named: int = 1) -> str:
    """Store a content with objects, of which its record names only the first ones."""
    for key in keys:
        vault.objects.put(key, b"x")
    objects = {f"role {number}": key for number, key in enumerate(keys[:named])}
    content = vault.records.put_content(
        resource_key, content_type="note", title="Note", objects=objects
    )
    return content.id


@pytest.mark.parametrize("key", ["tea:green", "tea:cup:green", "green", "tea:"])
def test_what_is_in_a_folder_of_its_own_goes_with_it(vault: Vault, key: str) -> None:
    own = f"content/{content_id(key)}"
    named = f"teas/{key.partition(':')[2] or content_id(key)}"
    identity = stored(vault, key, f"{named}/text.txt", f"{named}/raw/1.json", f"{own}/notes/1.json")

    vault.delete(identity)

    assert [*vault.objects.keys("teas"), *vault.objects.keys("content")] == []
    with pytest.raises(ContentNotFound):
        vault.records.get_content(identity)


@pytest.mark.parametrize("key", ["tea:green", "tea:", "teas", "x:text.txt"])
def test_what_is_in_a_folder_that_others_use_stays(vault: Vault, key: str) -> None:
    identity = stored(vault, key, "teas/green.txt", "top", named=2)
    others = ["teas/black.txt", "teas/green/leaves.json", "green/text.txt", "content/1/text.txt"]
    stored(vault, "tea:black", *others)

    vault.delete(identity)

    left = [key for folder in ("teas", "green", "content") for key in vault.objects.keys(folder)]
    assert sorted(left) == sorted(others)
    assert not vault.objects.exists("top")
