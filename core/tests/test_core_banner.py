"""What ``menos-bus up`` prints when the bus is ready."""

import json
import shlex

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
    assert json.loads(words[5]) == {"args": ["hello"]}


def test_a_plugin_that_was_left_out_on_purpose_is_not_marked_as_broken(site, monkeypatch, capsys):
    site.install("off")
    site.install("broken", "1 / 0")
    monkeypatch.setenv("MENOS_PLUGINS", "broken")

    print_banner(Bus(), ADDRESS, as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  ✗ broken") for line in lines)
    assert any(line.startswith("  - off") for line in lines)
