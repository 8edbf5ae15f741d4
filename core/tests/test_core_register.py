"""What a plugin may register, and what is refused with a reason."""

import functools

import pytest

from menos_bus import PluginError, UnknownTask
from menos_bus.tasks.contract import PUBLIC_TASKS, owner_of
from menos_bus.tasks.register import Registrar, Registry


def greet(who: str) -> str:
    """Greet somebody.

    At some length.
    """
    return who


async def later(): ...


async def stream():
    yield 1


class Callable:
    def __call__(self, who: str): ...


def register(function, plugin="hello", **options):
    registrar = Registrar(plugin)
    registrar(function, **options)
    return registrar.tasks[0]


def test_a_task_is_named_after_its_plugin_and_function():
    task = register(greet)

    assert (task.name, task.plugin, task.queue) == ("hello.greet", "hello", "hello")


def test_a_task_can_be_given_another_name():
    assert register(greet, name="tasks.greet_all").name == "tasks.greet_all"


def test_the_docstring_is_the_help():
    task = register(greet)

    assert task.summary == "Greet somebody."
    assert task.description == "Greet somebody.\n\nAt some length."


def test_a_task_is_listed_with_its_parameters():
    listed = register(greet).as_json()

    assert listed["name"] == "hello.greet"
    assert listed["queue"] == "hello"
    assert listed["summary"] == "Greet somebody."
    assert listed["parameters"]["required"] == ["who"]


def test_other_options_are_kept_for_celery():
    task = register(greet, time_limit=5, max_retries=1)

    assert task.options == {"time_limit": 5, "max_retries": 1}


@pytest.mark.parametrize(
    "function",
    [later, stream, Callable(), functools.partial(greet, "Ada"), len, Callable, "greet"],
    ids=["async", "async generator", "instance", "partial", "builtin", "class", "text"],
)
def test_only_plain_functions_can_be_tasks(function):
    with pytest.raises(PluginError, match="plain"):
        register(function)


def test_what_is_no_task_is_named():
    with pytest.raises(PluginError, match=r"^later: a task is a plain function, not async"):
        register(later)


def test_a_lambda_has_no_name_to_be_called_by():
    with pytest.raises(PluginError, match="<lambda>"):
        register(lambda who: who)


@pytest.mark.parametrize(
    "name", ["greet", "Hello.greet", "hello.", ".greet", "hello greet", "hello.greet\n", "hello/x"]
)
def test_a_name_that_is_no_task_name_is_refused(name):
    with pytest.raises(PluginError, match="must look like"):
        register(greet, name=name)


def test_a_name_of_celerys_own_tasks_is_refused():
    with pytest.raises(PluginError, match=r"celery\.backend_cleanup"):
        register(greet, name="celery.backend_cleanup")


@pytest.mark.parametrize(
    "option", ["base", "exchange", "queue", "routing_key", "serializer", "shared"]
)
def test_an_option_that_the_bus_owns_is_refused(option):
    with pytest.raises(PluginError, match=f"hello.greet: the bus sets {option} itself"):
        register(greet, **{option: "x"})


def test_the_registry_finds_what_was_added_in_order_of_name():
    registry = Registry()

    registry.add([register(greet, name="hello.b"), register(greet, name="hello.a")])

    assert list(registry) == ["hello.a", "hello.b"]
    assert len(registry) == 2
    assert "hello.a" in registry
    assert "hello.c" not in registry
    assert registry.get("hello.c") is None
    assert registry["hello.a"].function is greet


@pytest.mark.parametrize("name", ["hello.great", "Hello.Greet"])
def test_an_unknown_task_is_answered_with_the_one_that_is_like_it_and_all_others(name):
    registry = Registry()
    registry.add([register(greet), register(greet, name="hello.wave")])

    with pytest.raises(UnknownTask) as caught:
        registry[name]

    meant = "did you mean 'hello.greet'? (known: hello.greet, hello.wave)"
    assert caught.value.message == f"unknown task {name!r}; {meant}"


def test_a_common_beginning_makes_no_suggestion():
    registry = Registry()
    registry.add([register(greet)])

    with pytest.raises(UnknownTask, match=r"^unknown task 'hello\.summarize' \(known: "):
        registry["hello.summarize"]


def test_an_unknown_task_without_plugins_says_that_there_are_none():
    with pytest.raises(UnknownTask, match="no plugin is loaded"):
        Registry()["hello.greet"]


def test_a_plugin_that_registers_a_name_twice_adds_nothing():
    registry = Registry()

    with pytest.raises(PluginError, match=r"hello\.greet twice"):
        registry.add([register(greet), register(greet)])

    assert len(registry) == 0


def test_a_name_that_is_taken_stays_with_the_first_and_none_of_the_second_is_added():
    registry = Registry()
    registry.add([register(greet, plugin="a", name="tasks.one")])

    with pytest.raises(PluginError, match=r"tasks\.one is already registered by 'a'"):
        registry.add(
            [
                register(greet, plugin="b", name="tasks.two"),
                register(greet, plugin="b", name="tasks.one"),
            ]
        )

    assert list(registry) == ["tasks.one"]


def test_a_public_name_belongs_to_its_plugin_even_where_that_is_not_installed():
    with pytest.raises(PluginError, match="belongs to the plugin 'search'"):
        Registry().add([register(greet, plugin="other", name="tasks.semantic_search")])


def test_the_plugin_of_a_public_name_may_register_it():
    registry = Registry()

    registry.add([register(greet, plugin="search", name="tasks.semantic_search")])

    assert registry["tasks.semantic_search"].queue == "search"


def test_the_public_names_and_their_queues_never_change():
    assert PUBLIC_TASKS["tasks.ingest_youtube"] == "youtube"
    assert PUBLIC_TASKS["tasks.ingest_youtube_with_callback"] == "youtube"
    assert PUBLIC_TASKS["tasks.process_content"] == "content"
    assert PUBLIC_TASKS["tasks.semantic_search"] == "search"


@pytest.mark.parametrize(
    ("task", "owner"),
    [
        ("tasks.process_content", "content"),
        ("tasks.something_else", None),
        ("hello.greet", "hello"),
        ("hello", None),
    ],
)
def test_the_owner_of_a_task_can_be_told_from_its_name(task, owner):
    assert owner_of(task) == owner


def test_a_name_that_begins_with_another_plugin_is_refused_since_calls_are_routed_by_it():
    with pytest.raises(PluginError, match="belongs to the plugin 'other'"):
        Registry().add([register(greet, plugin="a", name="other.greet")])
