"""What ``menos-bus up`` prints when the bus is ready."""

import json
import shlex
from typing import Annotated

from pydantic import Field

from menos_bus import Bus
from menos_bus.cli.banner import print_banner
from menos_bus.doors.running import Address

ADDRESS = Address("http://127.0.0.1:5555", "menos", "op", 1, "caller", "ca", None)


def test_the_line_to_paste_can_be_pasted_again_and_again(make_bus, make_plugin, capsys):
    def greet(who: str): ...

    print_banner(make_bus(make_plugin("hello", greet)), ADDRESS, as_json=False)

    [line] = [line for line in capsys.readouterr().out.splitlines() if "curl -u" in line]
    words = shlex.split(line)
    assert words[:4] == ["curl", "-u", "caller:ca", f"{ADDRESS.url}/api/task/apply/hello.greet"]
    # An id of its own would be answered with the first outcome for a week.
    assert json.loads(words[5]) == {"kwargs": {"who": "who"}}


def test_the_first_call_is_one_whose_author_gives_examples(make_bus, make_plugin, capsys):
    def dump(): ...
    def hide(what: str): ...
    def note(
        text: Annotated[str, Field(examples=["it's late"])],
        kept_days: Annotated[int, Field(examples=[7])] = 1,
        colour: str = "red",
    ): ...

    print_banner(make_bus(make_plugin("hello", dump, hide, note)), ADDRESS, as_json=False)

    pasted = [line.strip() for line in capsys.readouterr().out.splitlines() if "hello.note" in line]
    assert json.loads(shlex.split(pasted[1])[-1]) == {
        "kwargs": {"text": "it's late", "kept_days": 7}
    }
    words = ["call", "hello.note", "--text", "it's late", "--kept-days", "7"]
    assert shlex.split(pasted[2])[-len(words) :] == words


def test_a_plugin_that_was_left_out_on_purpose_is_not_marked_as_broken(site, monkeypatch, capsys):
    site.install("off")
    site.install("broken", "1 / 0")
    monkeypatch.setenv("MENOS_PLUGINS", "broken")

    print_banner(Bus(), ADDRESS, as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  ✗ broken") for line in lines)
    assert any(line.startswith("  - off") for line in lines)
