"""``menos-bus doctor``: everything that can be wrong, and what to do about it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Final

from menos_bus.bus import Bus
from menos_bus.errors import BusError, BusUnavailable, SettingsError
from menos_bus.plugins.hookspecs import ENTRY_POINT_GROUP, Check
from menos_bus.plugins.loader import Plugin, State
from menos_bus.settings import BusSettings
from menos_bus.tasks.contract import CORE_QUEUES, owner_of

if TYPE_CHECKING:
    from menos_bus.doors.running import Address

_LITTLE_SPACE: Final = 500 * 10**6
"""Bytes, as all sizes here: 1 GB is 10^9 of them, as disks are sold and as the vault counts."""
_FIXES: Final = {
    State.MISSING: "install it, or take it out of MENOS_PLUGINS",
    State.CONFLICT: "uninstall one of the two, or name the one you want first in MENOS_PLUGINS",
    State.INCOMPATIBLE: "upgrade menos-bus or the plugin",
    State.FAILED: "mend or uninstall it; MENOS_PLUGINS can leave it out meanwhile",
}
_OTHER_SETTINGS: Final = ("MENOS_VAULT_",)
"""Prefixes of packages that are no plugins."""


def diagnose() -> Iterator[Check]:
    """Look at everything, one :class:`Check` after the other; never raises."""
    try:
        bus = Bus()
        _ = bus.app  # lets the plugins configure it, which one may fail at
    except SettingsError as error:
        yield Check("settings", False, error.message, "mend the variable, or unset it")
        return
    yield _settings(bus)
    yield from _data_folder(bus.settings)
    if not bus.plugins:
        yield Check("plugins", False, "none is installed", "pip install menos-content menos-search")
    for plugin in bus.plugins:
        yield from _plugin(plugin)
    yield from _no_plugins()
    yield from _embedded(bus) if bus.settings.embedded else _fleet(bus)


def _settings(bus: Bus) -> Check:
    known = {f"MENOS_{name.upper()}" for name in BusSettings.model_fields}
    prefixes = (*_OTHER_SETTINGS, *(plugin.settings_prefix for plugin in bus.plugins))
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith("MENOS_") and name not in known and not name.startswith(prefixes)
    )
    for plugin in bus.loaded:
        unknown += _unread(plugin)
    if unknown:
        return Check(
            "settings",
            False,
            f"nothing reads {', '.join(unknown)}",
            "check the spelling: docs/settings.md lists all settings",
        )
    embedded = bus.settings.embedded
    profile = "embedded: one process, no servers" if embedded else "fleet: MENOS_BROKER_URL is set"
    return Check("settings", True, profile)


def _unread(plugin: Plugin) -> list[str]:
    """Variables that begin as a plugin's do, and that none of its declared settings reads."""
    own = plugin.settings_prefix
    fields: set[str] = set().union(*(getattr(cls, "model_fields", ()) for cls in plugin.settings))
    read = {f"{own}{name.upper()}" for name in fields}
    return sorted(
        name for name in os.environ if fields and name.startswith(own) and name not in read
    )


def _data_folder(settings: BusSettings) -> Iterator[Check]:
    home = settings.home.resolve()
    parent = next(folder for folder in (home, *home.parents) if os.path.exists(folder))
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        yield Check(
            "data folder",
            False,
            f"{parent} is not a folder that can be written",
            "chown it, or set MENOS_HOME",
        )
        return
    free = shutil.disk_usage(parent).free
    if free < _LITTLE_SPACE:
        yield Check(
            "data folder",
            False,
            f"only {free / 1e9:.1f} GB are free on the disk of {home}",
            "free some space: writes will fail",
        )
        return
    yield Check("data folder", True, f"{home} ({free / 1e9:.1f} GB free)")


def _plugin(plugin: Plugin) -> Iterator[Check]:
    name = f"plugin {plugin.name}"
    if plugin.state is State.LOADED:
        count = len(plugin.tasks)
        tasks = f"{count} task{'' if count == 1 else 's'} on queue {plugin.name!r}"
        yield Check(name, True, f"{plugin.state}, {tasks}")
        if plugin.reason:
            yield Check(f"{name}, import", True, plugin.reason)
    elif plugin.state is State.DISABLED:
        yield Check(name, True, f"{plugin.state}, {plugin.reason}")
    else:
        fix = _FIXES[plugin.state]
        if plugin.reason.startswith("settings:"):
            fix = "correct the variable, and restart"
        yield Check(name, False, f"{plugin.state}: {plugin.reason}", fix)


def _no_plugins() -> Iterator[Check]:
    """Packages that look like plugins, and are none for want of an entry point."""
    names = {
        dist.name
        for dist in distributions()
        if str(dist.name).startswith("menos-")
        and any(re.match(r"menos-bus\b(?!-)", text) for text in dist.requires or ())
        and not dist.entry_points.select(group=ENTRY_POINT_GROUP)
    }
    for name in sorted(names):
        yield Check(
            f"package {name}",
            True,
            f"needs menos-bus and is no plugin: it has no entry point in {ENTRY_POINT_GROUP!r}",
        )


def _quotas(bus: Bus, address: Address | None) -> Iterator[Check]:
    from menos_bus.doors.client import quotas

    try:
        found = quotas(bus, address)
    except BusError as error:
        yield Check("quotas", False, error.message, "see the message; metered calls wait")
        return
    for status in found:
        if status.quota.limit is None:
            continue
        said = f"{status.used:,} of {status.quota.limit:,} units are used today"
        if status.closed is not None:
            said = f"closed by the service: {status.closed}"
        if not status.remaining_without_priority:
            said += "; nothing is left for calls without priority"
        # No problem of the host's: its health must not go with the quota's.
        yield Check(
            f"quota {status.quota.name}", True, f"{said}; resets {status.day.resets_at:%H:%M} UTC"
        )


def _embedded(bus: Bus) -> Iterator[Check]:
    try:
        import flower  # noqa: F401
    except ImportError:
        yield Check("flower", False, "not installed", "pip install 'menos-bus[flower]'")
        return
    from menos_bus.doors.client import request
    from menos_bus.doors.running import find_running

    try:
        address = find_running(bus.settings.home)
        if address is None:
            yield Check("bus", True, "not running; `menos-bus up` starts it")
            loaded = {plugin.name for plugin in bus.loaded}
            checks = [*bus.hooks.check_health()]
        else:
            tasks = request(address, "GET", "/api/task/types")["task-types"]
            loaded = {owner_of(task) or "" for task in tasks}
            checks = [Check(**told) for told in request(address, "GET", "/api/health")["checks"]]
            yield Check("bus", True, f"running at {address.url} (process {address.pid})")
    except SettingsError as error:
        yield Check("bus", False, error.message, "give this user the right to read it, if it may")
        return
    except BusError as error:
        yield Check(
            "bus", False, error.message, "stop the process with Ctrl-C and run `menos-bus up`"
        )
        return
    yield from _quotas(bus, address)
    yield from _stranded(bus, address, loaded)
    yield from checks


def _stranded(bus: Bus, address: Address | None, loaded: set[str]) -> Iterator[Check]:
    """Calls that wait for a plugin that is not loaded any more."""
    from menos_bus.doors.client import queues
    from menos_bus.messages.topology import plugin_of
    from menos_bus.outcomes.sqlite import FILE as LEDGER

    if not (bus.settings.home / LEDGER).exists():
        return
    try:
        depths = queues(bus, address)
    except BusError as error:
        yield Check("ledger", False, error.message, "see the message")
        return
    waiting: dict[str, int] = {}
    for queue in depths:
        plugin = plugin_of(queue["name"])
        if plugin not in loaded | {*CORE_QUEUES}:
            waiting[plugin] = waiting.get(plugin, 0) + queue["messages"] + queue.get("running", 0)
    for plugin, count in sorted(waiting.items()):
        if count:
            yield Check(
                f"queue {plugin}",
                False,
                f"{count} accepted call(s) wait for the plugin {plugin!r}, which is not loaded",
                f"install menos-{plugin} again, and restart the bus: they run then",
            )


def _fleet(bus: Bus) -> Iterator[Check]:
    from menos_bus.messages.broker import connected

    try:
        with connected(bus.app) as connection:
            found = _broker(bus.settings, connection.as_uri())
    except BusUnavailable as error:
        found = Check("broker", False, error.message, "start it, or correct MENOS_BROKER_URL")
    yield found
    if found.ok:
        yield from _unserved(bus)
    yield from _callbacks(bus.settings)
    try:
        bus.app.ledger.find("doctor")
    except BusUnavailable as error:
        fix = "start it, or correct MENOS_RESULT_BACKEND"
        yield Check("results", False, error.message, fix)
    else:
        yield Check("results", True, "the result store answers")
        yield from _one_process(bus)
    yield from _quotas(bus, None)
    yield from bus.hooks.check_health()


def _unserved(bus: Bus) -> Iterator[Check]:
    """Plugins that no worker serves now: a fact, since it is no fault of the host that is asked."""
    from menos_bus.doors.client import queues
    from menos_bus.messages.topology import plugin_of

    try:
        depths = queues(bus, None)
    except BusError as error:
        yield Check("queues", False, error.message, "see the message")
        return
    waiting: dict[str, int] = {}
    for queue in depths:
        if queue.get("workers") == 0:
            plugin = plugin_of(queue["name"])
            waiting[plugin] = waiting.get(plugin, 0) + queue["messages"]
    for plugin, count in sorted(waiting.items()):
        yield Check(f"queue {plugin}", True, f"no worker serves it; {count} call(s) wait for one")


def _one_process(bus: Bus) -> Iterator[Check]:
    """What one worker has inside of its process, so that no other can serve it."""
    from menos_bus.doors.one_process import Leases, reasons

    leases = Leases(bus)
    for what in reasons(bus.registry.values()):
        try:
            workers = leases.inside(what)
        except BusUnavailable as error:
            yield Check(what, False, error.message, "see the message")
            continue
        for worker in workers:
            said = f"inside the worker {worker}: any other one that would serve it is refused"
            yield Check(what, True, said)


def _broker(settings: BusSettings, uri: str) -> Check:
    if not (settings.broker_url or "").startswith("redis"):
        return Check("broker", True, f"{uri} answers")
    return Check(
        "broker",
        False,
        f"{uri} answers; Redis as a broker is a reduced mode: what a worker that dies has taken "
        "runs again only after an hour, and failed tasks leave no dead letters",
        "use RabbitMQ where no call may be late or lost (docs/fleet.md)",
    )


def _callbacks(settings: BusSettings) -> Iterator[Check]:
    if settings.callback_secret is None and settings.callback_token is None:
        yield Check(
            "callbacks",
            True,
            "not signed: set MENOS_CALLBACK_SECRET if receivers are to verify where they come from",
        )
