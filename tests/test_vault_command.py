"""``menos-bus vault`` against a real bus: out of one vault and into another."""

from __future__ import annotations

import json

import pytest

TEXTS = {
    "bees": "Honey bees dance to tell their sisters where the flowers are.",
    "bread": "Sourdough bread rises because wild yeast ferments the flour.",
}


pytestmark = pytest.mark.usefixtures("model")


def test_what_one_vault_exports_another_one_finds(start, tmp_path):
    bus = start()
    ids = {}
    for name, text in TEXTS.items():
        stored = bus.result("tasks.store_content", text, name, tags=[name])
        bus.result("tasks.process_content", stored["content_id"], ["embed"])
        ids[name] = stored["content_id"]

    assert "1 of 1 shown" in bus.cli("vault", "list", "--tag", "bees").stdout
    assert "1 of 2 shown" in bus.cli("vault", "list", "--limit", "1").stdout
    listed = json.loads(bus.cli("vault", "list", "--tag", "bees", "--json").stdout)
    assert [row["content_id"] for row in listed["contents"]] == [ids["bees"]]
    shown = json.loads(bus.cli("vault", "show", ids["bees"], "--text").stdout)
    assert (shown["text"], shown["chunks"], shown["links"]) == (TEXTS["bees"], 1, {})
    file = tmp_path / "vault.jsonl"
    assert bus.cli("vault", "export", str(file)).returncode == 0
    assert bus.cli("vault", "export", str(file)).returncode == 2
    assert bus.cli("vault", "export", str(file), "--force").returncode == 0
    assert len(file.read_text().splitlines()) == 2
    assert len(bus.cli("vault", "export").stdout.splitlines()) == 2

    text = bus.home / "vault" / "objects" / shown["objects"]["text"]
    text.rename(tmp_path / "text")
    partly = bus.cli("vault", "export")
    assert (partly.returncode, len(partly.stdout.splitlines())) == (1, 2)
    assert f"content {ids['bees']} ('bees') has lost its text: store or ingest it" in partly.stderr
    (tmp_path / "text").rename(text)

    refused = bus.cli("vault", "delete", ids["bees"], stdin="n\n")
    assert refused.returncode == 1
    assert refused.stdout.startswith(f"{ids['bees']}  bees\nDelete 1 for good?")
    unknown = bus.cli("vault", "delete", "0" * 32, stdin="n\n")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == f"there is no content {'0' * 32} (content_not_found)\n"
    partly = bus.cli("vault", "delete", ids["bees"], "0" * 32, stdin="n\n")
    assert "0" * 32 in partly.stderr
    assert "Delete 1 for good?" in partly.stdout
    first, second = ids.values()
    deleted = bus.cli("vault", "delete", first, "0" * 32, second, "--yes")
    assert (deleted.returncode, deleted.stdout.count("deleted ")) == (1, 2)
    assert "0" * 32 in deleted.stderr
    stats = json.loads(bus.cli("vault", "stats", "--json").stdout)
    assert (stats["contents"], stats["chunks"]) == (0, 0)
    assert bus.result("tasks.semantic_search", "insects")["results"] == []
    bus.kill()

    bus = start(MENOS_HOME=str(tmp_path / "elsewhere"))
    imported = bus.cli("vault", "import", str(file), "--embed")
    assert imported.returncode == 0, imported.stderr
    assert "2 contents" in imported.stderr
    found = bus.result("tasks.semantic_search", "how do insects talk?")["results"]
    assert [result["content_id"] for result in found] == [ids["bees"], ids["bread"]]


def test_what_cannot_be_done_is_said_with_an_exit_code(start, tmp_path):
    bus = start()
    file = tmp_path / "broken.jsonl"

    unknown = bus.cli("vault", "show", "0" * 32)
    assert unknown.returncode == 1
    assert "content_not_found" in unknown.stderr
    for content, said in (
        (b'{"resource_key"', "line 1 is not JSON"),
        (b"\n\xff\xfe\n", "line 2 is not UTF-8"),
        (b'\n\n{"a": "\\ud800"}', "line 3 is not JSON: unexpected end of hex escape at column 14"),
        (b'{"a": NaN}', "line 1 is not JSON"),
        (b"[1]", "line 1 is no JSON object"),
        (b'\n{"text": "x"}', "line 2: title: required"),
        (b'\xef\xbb\xbf{"text": "x"}', "line 1: title: required"),  # a byte order mark
        (b'\n{"title": "T", "objects": {}}', "line 2: resource_key: required"),
        (b'{"title": "T", "text": "x", "url": "javascript:x"}', "line 1: url: must be a URL of"),
        (b'{"title": "T", "text": "x", "titel": "T"}', "line 1: titel: unknown field"),
        (b'{"title": "T", "tags": ["a", 1]}', "line 1: tags.1: "),
    ):
        file.write_bytes(content)
        refused = bus.cli("vault", "import", str(file))
        assert refused.returncode == 2
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    assert bus.cli("vault", "import", str(tmp_path / "nothing.jsonl")).returncode == 2


def test_what_is_stored_of_a_file_before_a_bad_line_is_said(start, tmp_path):
    bus = start()
    objects = {"text": {"key": "elsewhere/1.txt", "text": "x", "base64": None}}
    taken = {"title": "Another plugin's", "resource_key": "elsewhere:1"}
    bus.result("tasks.import_content", [{**taken, "objects": objects}])
    good = [json.dumps({"title": f"T{number}", "text": "x"}) for number in range(101)]
    good[7] = json.dumps({**taken, "text": "y"})
    for bad, said in (("[1]", "line 102 is no"), ('{"text": "x"}', "line 102: title")):
        file = tmp_path / "notes.jsonl"
        file.write_text("\n".join([*good, bad]))

        refused = bus.cli("vault", "import", str(file))

        assert refused.returncode == 2
        assert said in refused.stderr
        assert "100 contents before it are stored, but for those" in refused.stderr
        [failed] = json.loads(refused.stdout)["failed"]
        assert failed["code"] == "resource_key_taken"
    assert bus.result("tasks.vault_stats")["contents"] == 100


def test_a_folder_of_notes_is_added_and_what_is_none_is_named(start, tmp_path):
    bus = start()
    notes = tmp_path / "notes"
    (notes / "deep").mkdir(parents=True)
    (notes / ".hidden").mkdir()
    (notes / "bees.md").write_text(f"# On bees\n\n{TEXTS['bees']}")
    (notes / "deep" / "bread.txt").write_text(f"# \u200b\n\n{TEXTS['bread']}")
    (notes / ".hidden" / "secret.md").write_text("not for anybody")
    (notes / "paper.pdf").write_bytes(b"%PDF")
    (notes / "empty.md").write_text("\ufeff\n\u200b")
    (notes / "old.txt").write_bytes("Brötchen".encode("latin-1"))

    added = bus.cli("vault", "add", str(notes), "--tag", "mine")

    assert added.returncode == 0, added.stderr
    left = [line for line in added.stderr.splitlines() if line.startswith("left out")]
    assert [line.partition(": ")[2].partition(" (")[0] for line in left] == [
        "empty",
        "not UTF-8 text: convert it",
        "no text file",
    ]
    assert added.stderr.endswith("2 contents\n")
    found = bus.result("tasks.semantic_search", "how do insects talk?", tags="mine")["results"]
    assert [result["title"] for result in found] == ["On bees", "bread.txt"]

    nothing = bus.cli("vault", "add", str(notes / "paper.pdf"))
    assert (nothing.returncode, nothing.stderr.splitlines()[-1]) == (1, "0 contents")

    (notes / "deep" / "bread.txt").write_text("Rye bread keeps for a week.")
    assert bus.cli("vault", "add", str(notes / "deep")).returncode == 0

    stats = bus.result("tasks.vault_stats")
    assert (stats["contents"], stats["chunks"]) == (2, 2)
    [rye] = bus.result("tasks.semantic_search", "rye", mode="keyword", tags="mine")["results"]
    assert rye["title"] == "bread.txt"


def test_a_file_that_is_too_long_is_named_and_keeps_no_other_back(start, tmp_path):
    bus = start()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "bees.md").write_text(TEXTS["bees"])
    (tmp_path / "notes" / "long.txt").write_text("a" * 5_000_001)

    added = bus.cli("vault", "add", str(tmp_path / "notes"))

    assert added.returncode == 0, added.stderr
    assert "long.txt: more than 5,000,000 characters: split it" in added.stderr
    assert added.stderr.endswith("1 content\n")
