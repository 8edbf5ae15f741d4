"""Six states, each with its reason; whatever a plugin does, the others load."""

import re
import sys

import pytest

from menos_bus import UnknownTask
from menos_bus.plugins import loader
from menos_bus.plugins.loader import Declared, State, load_plugins

BROKEN = {
    "import error": ("import nowhere_to_be_found", "ModuleNotFoundError"),
    "any exception": ("1 / 0", "ZeroDivisionError"),
    "sys.exit": (
        "import sys; sys.exit(3)",
        r"import of menos_broken_module failed: it called sys\.exit\(3\)",
    ),
    "syntax error": ("def (:", "SyntaxError"),
    "hook name": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_task(register): ...",
        r"^unknown hook 'register_task'; did you mean 'register_tasks'\?$",
    ),
    "hook argument": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_tasks(registre): ...",
        "registre",
    ),
    "register_tasks raises": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_tasks(register): {}['x']",
        "KeyError: 'x'",
    ),
    "register_tasks exits": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_tasks(register): raise SystemExit",
        "sys.exit",
    ),
    "a task that cannot be": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_tasks(register):\n"
        "  register(lambda *args: 1, name='broken.x')",
        r"\*args",
    ),
    "an option that is none": (
        "from menos_bus import hookimpl\n@hookimpl\ndef register_tasks(register):\n"
        "  register(task, autoretry_for=5)\ndef task(): ...",
        "autoretry_for",
    ),
}

SETTINGS = """
from menos_bus import hookimpl
from pydantic_settings import BaseSettings, SettingsConfigDict

class Mine(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="{prefix}")
    limit: int

@hookimpl
def register_settings(register):
    register(Mine)
"""


@pytest.fixture
def load(site, greeter):
    """Load the plugins; real ones that happen to be installed are left aside."""

    def load(*names, allowed=None):
        declared = Declared()
        found = load_plugins(declared, allowed if allowed is not None else names)
        load.declared, load.registry = declared, declared.tasks
        load.order = [plugin.name for plugin in found]
        return {plugin.name: plugin for plugin in found}

    return load


def test_a_plugin_that_works_is_loaded(site, load, greeter):
    site.install("hello", greeter, version="2.1", requires="menos-bus>=0.1,<0.2")

    plugin = load("hello")["hello"]

    assert plugin.state is State.LOADED
    assert plugin.reason == ""
    assert (plugin.distribution, plugin.version) == ("menos-hello", "2.1")
    assert plugin.tasks == ["hello.greet"]
    assert plugin.hooks == ["register_tasks"]
    assert "hello.greet" in load.registry


def test_a_loaded_plugin_is_listed_as_json_with_its_queue(site, load, greeter):
    site.install("hello", greeter)

    listed = load("hello")["hello"].as_json()

    assert (listed["state"], listed["queue"], listed["tasks"]) == (
        "loaded",
        "hello",
        ["hello.greet"],
    )


def test_a_plugin_that_is_not_allowed_is_disabled_and_never_imported(site, load, greeter, tmp_path):
    witness = tmp_path / "imported"
    module = site.install("hello", f"open({str(witness)!r}, 'w')\n{greeter}", version="2.1")

    plugin = load(allowed=())["hello"]

    assert plugin.state is State.DISABLED
    assert "MENOS_PLUGINS" in plugin.reason
    assert (plugin.distribution, plugin.version) == ("menos-hello", "2.1")
    assert module not in sys.modules
    assert not witness.exists()


def test_a_plugin_that_is_asked_for_and_not_installed_is_missing(load):
    plugin = load("nowhere")["nowhere"]

    assert plugin.state is State.MISSING
    assert "pip install menos-nowhere" in plugin.reason


def test_a_plugin_whose_name_is_misspelt_is_answered_with_the_one_that_is_like_it(
    site, load, greeter
):
    site.install("search", greeter)

    plugin = load("serach")["serach"]

    assert plugin.reason.endswith("not installed; did you mean 'search'?")


def test_a_plugin_without_any_hook_is_told_what_may_be_missing(site, load):
    site.install("hello", "def register_tasks(register): ...")

    plugin = load("hello")["hello"]

    assert plugin.state is State.LOADED
    assert "mark its functions with @hookimpl" in plugin.reason


def test_a_task_of_a_plugin_that_is_not_loaded_is_told_so(site, load, greeter):
    site.install("broken", "1 / 0")
    site.install("hello", greeter)
    load("broken", "hello")

    with pytest.raises(UnknownTask, match=r"the plugin 'broken' is failed, `menos-bus plugins`"):
        load.registry["broken.greet"]
    with pytest.raises(UnknownTask, match=r"known: hello\.greet"):
        load.registry["nowhere.greet"]


def test_a_plugin_that_is_installed_later_needs_a_restart(site, load, greeter):
    load("late", "other")
    with pytest.raises(UnknownTask, match="the plugin 'late' is missing"):
        load.registry["late.greet"]

    site.install("late", greeter)
    site.install("nobody-asked", greeter)

    assert load.declared.newer() == {"late"}
    with pytest.raises(UnknownTask, match="'late' was installed after the bus had started"):
        load.registry["late.greet"]
    with pytest.raises(UnknownTask, match="the plugin 'other' is missing"):
        load.registry["other.greet"]


def test_two_distributions_of_one_name_are_a_conflict_that_names_both(site, load, greeter):
    first = site.install("hello", greeter, distribution="menos-hello")
    second = site.install("hello", greeter, distribution="acme-hello")

    plugin = load("hello")["hello"]

    assert plugin.state is State.CONFLICT
    assert "acme-hello and menos-hello" in plugin.reason
    assert first not in sys.modules
    assert second not in sys.modules


def test_a_task_name_that_is_claimed_twice_is_a_conflict_that_names_the_other(site, load, greeter):
    site.install("alpha", greeter.replace("register(greet)", "register(greet, name='tasks.y')"))
    site.install("beta", greeter.replace("register(greet)", "register(greet, name='tasks.y')"))

    plugins = load("alpha", "beta")

    assert plugins["alpha"].state is State.LOADED
    assert plugins["beta"].state is State.CONFLICT
    assert "tasks.y is already registered by 'alpha'" in plugins["beta"].reason
    assert plugins["beta"].as_json()["queue"] is None
    assert load.registry["tasks.y"].plugin == "alpha"


def test_a_public_task_name_cannot_be_taken_over(site, load, greeter):
    name = "tasks.semantic_search"
    site.install("beta", greeter.replace("register(greet)", f"register(greet, name={name!r})"))

    plugin = load("beta")["beta"]

    assert plugin.state is State.CONFLICT
    assert "belongs to the plugin 'search'" in plugin.reason
    assert name not in load.registry


@pytest.mark.parametrize("requires", ["menos-bus>=9", "Menos_Bus<0.1", "menos-bus==0.0.1"])
def test_a_plugin_for_another_version_is_incompatible_and_never_imported(
    site, load, greeter, requires
):
    module = site.install("hello", greeter, requires=requires)

    plugin = load("hello")["hello"]

    assert plugin.state is State.INCOMPATIBLE
    assert "menos-hello 1.0 needs menos-bus" in plugin.reason
    assert loader.VERSION in plugin.reason
    assert module not in sys.modules


@pytest.mark.parametrize(
    "requires", ["menos-bus-extra>=9", 'menos-bus>=9; python_version < "3"', "menos-bus"]
)
def test_requirements_that_do_not_concern_this_version_are_no_hindrance(
    site, load, greeter, requires
):
    site.install("hello", greeter, requires=requires)

    assert load("hello")["hello"].state is State.LOADED


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_fails_with_the_reason_and_the_others_load(
    site, load, greeter, source, reason
):
    site.install("afore", greeter)
    site.install("broken", source)
    site.install("later", greeter)

    plugins = load("afore", "broken", "later")

    assert plugins["broken"].state is State.FAILED
    assert re.search(reason, plugins["broken"].reason)
    assert plugins["afore"].state is plugins["later"].state is State.LOADED
    assert list(load.registry) == ["afore.greet", "later.greet"]


def test_a_module_that_is_not_there_fails_by_name(site, load):
    module = site.install("hello", None)

    plugin = load("hello")["hello"]

    assert plugin.state is State.FAILED
    assert module in plugin.reason


def test_a_plugin_that_fails_after_registering_leaves_no_task_behind(site, load, greeter):
    site.install("hello", greeter.replace("register(greet)", "register(greet); 1 / 0"))

    assert load("hello")["hello"].state is State.FAILED
    assert len(load.registry) == 0


def test_a_setting_that_is_missing_fails_the_plugin_with_the_variables_name(site, load):
    site.install("hello", SETTINGS.format(prefix="MENOS_HELLO_"))

    plugin = load("hello")["hello"]

    assert plugin.state is State.FAILED
    assert "MENOS_HELLO_LIMIT: Field required" in plugin.reason


def test_a_setting_that_is_wrong_fails_the_plugin_with_the_variables_name(site, load, monkeypatch):
    monkeypatch.setenv("MENOS_HELLO_LIMIT", "many")
    site.install("hello", SETTINGS.format(prefix="MENOS_HELLO_"))

    assert "MENOS_HELLO_LIMIT: Input should be a valid integer" in load("hello")["hello"].reason


def test_what_a_validator_says_of_several_variables_is_told_in_its_own_words(
    site, load, monkeypatch
):
    validator = """
    @model_validator(mode="after")
    def _whole(self):
        raise ValueError("MENOS_HELLO_LIMIT and another one do not fit")
"""
    code = SETTINGS.format(prefix="MENOS_HELLO_").replace(
        "limit: int\n", f"limit: int\n{validator}"
    )
    site.install("hello", f"from pydantic import model_validator\n{code}")
    monkeypatch.setenv("MENOS_HELLO_LIMIT", "5")

    reason = load("hello")["hello"].reason

    assert reason == "settings: MENOS_HELLO_LIMIT and another one do not fit"


def test_settings_that_are_fine_are_kept(site, load, monkeypatch):
    monkeypatch.setenv("MENOS_HELLO_LIMIT", "5")
    site.install("hello", SETTINGS.format(prefix="MENOS_HELLO_"))

    plugin = load("hello")["hello"]

    assert plugin.state is State.LOADED
    assert [settings.__name__ for settings in plugin.settings] == ["Mine"]


@pytest.mark.parametrize("prefix", ["", "HELLO_", "MENOS_", "MENOS_OTHER_"])
def test_settings_under_another_prefix_are_refused(site, load, monkeypatch, prefix):
    monkeypatch.setenv(f"{prefix}LIMIT", "5")
    site.install("hello", SETTINGS.format(prefix=prefix))

    plugin = load("hello")["hello"]

    assert plugin.state is State.FAILED
    assert "env_prefix must be 'MENOS_HELLO_'" in plugin.reason


def test_a_slow_import_is_remarked_on_a_plugin_that_loads(site, load, greeter, monkeypatch):
    monkeypatch.setattr(loader, "SLOW_IMPORT", 0.0)
    site.install("hello", greeter)

    plugin = load("hello")["hello"]

    assert plugin.state is State.LOADED
    assert "import heavy libraries inside the tasks" in plugin.reason
    assert plugin.import_seconds > 0


def test_without_an_allow_list_all_are_loaded_in_order_of_name(site, greeter):
    names = [f"p{n}" for n in range(9)]
    for place, name in enumerate(names):
        # So that the order of the folders is another one.
        site.install(name, greeter, distribution=f"dist-{place * 5 % 9}")

    found = load_plugins(Declared(), None)

    ours = [plugin for plugin in found if plugin.name in names]
    assert [plugin.name for plugin in ours] == names
    assert {plugin.state for plugin in ours} == {State.LOADED}
    assert [plugin.name for plugin in found] == sorted(plugin.name for plugin in found)


def test_the_allow_list_says_the_order_and_the_rest_follows_disabled(site, load, greeter):
    for name in ("zeta", "alpha", "mid"):
        site.install(name, greeter)

    plugins = load(allowed=("zeta", "alpha", "zeta"))

    assert load.order[:2] == ["zeta", "alpha"]
    assert load.order.count("zeta") == 1
    assert plugins["mid"].state is State.DISABLED


def test_of_two_claims_the_first_in_the_allow_list_wins(site, load, greeter):
    claim = greeter.replace("register(greet)", "register(greet, name='tasks.y')")
    site.install("alpha", claim)
    site.install("beta", claim)

    plugins = load(allowed=("beta", "alpha"))

    assert plugins["beta"].state is State.LOADED
    assert plugins["alpha"].state is State.CONFLICT


def test_an_app_is_made_and_a_plugin_whose_configure_app_raises_has_failed(make_plugin, make_bus):
    def configure_app(app):
        raise RuntimeError("no signal")

    def greet(): ...

    bus = make_bus(
        make_plugin("bad", greet, hooks={"configure_app": configure_app}),
        make_plugin("good", greet),
    )

    assert "good.greet" in bus.app.tasks
    assert [plugin.name for plugin in bus.loaded] == ["good"]
    assert "configure_app failed: RuntimeError: no signal" in bus.plugins[0].reason


def test_a_plugin_may_adjust_the_app_after_the_core(make_plugin, make_bus):
    def configure_app(app):
        app.conf.worker_concurrency = 99

    bus = make_bus(make_plugin("p", hooks={"configure_app": configure_app}))

    assert bus.app.conf.worker_concurrency == 99


def test_one_exception_class_instead_of_a_list_is_taken_or_refused_but_breaks_no_bus(
    make_plugin, make_bus
):
    def greet(): ...

    bus = make_bus(make_plugin("odd", greet, autoretry_for=ValueError), make_plugin("good", greet))

    assert "good.greet" in bus.app.tasks
