"""What one plugin offers to another."""

from types import SimpleNamespace

import pytest

from menos_bus import PluginError, extensions
from menos_bus.plugins.extensions import Extensions
from menos_bus.testing import TestBus

POINT = "reader.format"


def offering(*extensions, point=POINT):
    return {"register_extensions": lambda register: [register(point, each) for each in extensions]}


def named(name):
    return SimpleNamespace(name=name)


def formats() -> list[str]:
    """The formats that can be read."""
    return list(extensions(POINT))


def test_a_task_finds_what_others_registered_in_the_order_of_the_plugins(make_plugin):
    bus = TestBus(
        make_plugin("acme", hooks=offering(named("xml"), named("csv"))),
        make_plugin("reader", formats),
        make_plugin("zeta", hooks=offering(named("abc"))),
    )

    assert bus.call("reader.formats") == ["xml", "csv", "abc"]


def test_without_any_there_is_nothing(make_plugin):
    assert TestBus(make_plugin("reader", formats)).call("reader.formats") == []


def test_outside_a_task_there_is_nothing():
    assert extensions(POINT) == {}


@pytest.mark.parametrize(
    ("point", "extension", "told"),
    [
        ("format", named("csv"), "must look like 'plugin.word'"),
        (5, named("csv"), "must look like 'plugin.word'"),
        (POINT, object(), "needs an attribute `name`"),
        (POINT, named(""), "needs an attribute `name`"),
        (POINT, named("a b"), "needs an attribute `name`"),
    ],
)
def test_what_cannot_be_found_again_is_refused(point, extension, told):
    with pytest.raises(PluginError, match=told):
        Extensions().add("acme", [(point, extension)])


def test_a_name_that_is_taken_is_a_conflict_that_names_the_other_plugin(make_plugin, make_bus):
    bus = make_bus(
        make_plugin("acme", hooks=offering(named("csv"))),
        make_plugin("beta", hooks=offering(named("tsv"), named("csv"))),
    )

    acme, beta = bus.plugins
    assert (acme.state, beta.state) == ("loaded", "conflict")
    assert "already registered by 'acme'" in beta.reason
    assert list(bus.app.extensions.at(POINT)) == ["csv"]


def test_a_point_that_cannot_be_fails_its_plugin_and_is_no_conflict(make_plugin, make_bus):
    offered = offering(named("csv"), point="no point")

    [plugin] = make_bus(make_plugin("acme", hooks=offered)).plugins

    assert plugin.state == "failed"
    assert "point 'no point' must look like 'plugin.word'" in plugin.reason


def test_twice_by_one_plugin_is_refused_too():
    with pytest.raises(PluginError, match="twice"):
        Extensions().add("acme", [(POINT, named("csv")), (POINT, named("csv"))])


def test_the_same_name_at_another_point_is_another():
    found = Extensions()

    found.add("acme", [(POINT, named("csv")), ("writer.format", named("csv"))])

    assert list(found.at("writer.format")) == ["csv"]
