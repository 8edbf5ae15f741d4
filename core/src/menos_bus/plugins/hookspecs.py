"""The hooks of menos-bus, one by one: what it is for, when it fires, what happens if it raises.

A plugin implements the ones that it needs with ``@hookimpl``, under these very names. An
implementation may leave out arguments that it does not use. Three error policies apply:

* **declaration** — the plugin becomes ``failed`` with the reason, the others go on, and its queue
  is not consumed, so no message of it is lost;
* **decision** — the task that asked is put back and asks again later: nothing runs unasked;
* **notification** — the error is logged; the task's outcome does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pluggy

ENTRY_POINT_GROUP: Final = "menos_bus"

hookspec = pluggy.HookspecMarker(ENTRY_POINT_GROUP)
hookimpl = pluggy.HookimplMarker(ENTRY_POINT_GROUP)


@dataclass(frozen=True)
class Check:
    """One line of ``menos-bus doctor``.

    Attributes:
        name: what was looked at, such as ``"vault.records"``.
        ok: whether it is fine.
        message: what was seen.
        fix: what to do about it, if it is not fine.
    """

    name: str
    ok: bool
    message: str
    fix: str = ""


@dataclass(frozen=True)
class Proceed:
    """Answer of ``acquire_quota``: the task may run now."""


@dataclass(frozen=True)
class Wait:
    """Answer of ``acquire_quota``: put the task back and ask again; none of its tries is used.

    Attributes:
        seconds: how long to wait, at least 1.
        reason: what the task waits for; readable in its result meanwhile.
    """

    seconds: float
    reason: str


class HookSpecs:
    """All hooks. ``docs/hooks.md`` shows each with an example."""

    @hookspec
    def register_settings(self, register: Callable[[type], None]) -> None:
        """Declare the plugin's settings: ``register(MySettings)``, a pydantic-settings class.

        Fires at start-up, first of all. The class is instantiated then, so a missing or wrong
        environment variable fails this plugin with the variable's name. Its ``env_prefix`` must be
        ``MENOS_<PLUGIN>_``. Policy: declaration.
        """

    @hookspec
    def register_tasks(self, register: Callable[..., None]) -> None:
        """Declare the plugin's tasks: ``register(function, name=…, **options)`` once per task.

        Fires at start-up of every process, also of those that only list or submit, so it must
        import nothing heavy. Policy: declaration.
        """

    @hookspec
    def register_quotas(self, register: Callable[[Any], None]) -> None:
        """Declare what metered services allow: ``register(Quota(…))`` once per quota.

        Fires at start-up of every process, after ``register_tasks``. What is declared is shown by
        ``menos-bus quota`` and spent in tasks by :meth:`menos_bus.Quota.spend`. Policy:
        declaration.
        """

    @hookspec
    def register_extensions(self, register: Callable[[str, Any], None]) -> None:
        """Offer something to another plugin: ``register(point, object)`` once per object.

        Fires at start-up of every process, after ``register_quotas``. ``point`` is a word of the
        plugin that uses it, such as ``"youtube.transcript_source"``; the object has a ``name``.
        The other plugin need not be installed: nobody asks for its extensions then. Policy:
        declaration.
        """

    @hookspec
    def configure_app(self, app: Any) -> None:
        """Adjust the Celery application: signals, ``app.conf``, ``app.steps``.

        Fires once per process that submits or serves tasks, after the core's own configuration.
        Policy: declaration.
        """

    @hookspec(firstresult=True)
    def acquire_quota(self, task: str, task_id: str, priority: bool) -> Proceed | Wait | None:
        """Decide whether a task may run now: ``Proceed()``, ``Wait(seconds, reason)`` or ``None``.

        Fires in the worker before each run of each task, with checked arguments. The first answer
        that is not ``None`` decides; without one the task runs. Policy: decision.
        """

    @hookspec
    def release_quota(self, task: str, task_id: str, state: str) -> None:
        """Give back what ``acquire_quota`` took, or count it as spent.

        Fires in the worker when a task has reached a terminal state, and with ``RETRY`` when it is
        put back to wait. Policy: notification.
        """

    @hookspec
    def task_finished(self, task: str, task_id: str, state: str, result: Any) -> None:
        """Hear of a task that reached a terminal state: ``SUCCESS`` or ``FAILURE``.

        Fires in the worker after the outcome is stored; ``result`` is the return value in JSON
        types, ``None`` for a failure. Policy: notification.
        """

    @hookspec(firstresult=True)
    def deliver_callback(self, url: str, body: bytes, headers: dict[str, str]) -> int | None:
        """Send a callback in another way than by the bus's own request, and give its HTTP status.

        Fires in the worker of queue ``callbacks`` at each try, with the exact bytes and the
        headers that identify and sign them. ``None`` leaves the sending to the bus. A status from
        200 to 299 means that it arrived; 410 that the receiver wants no more. Policy: decision;
        one that raises is a failed try, and the next one follows as after an HTTP error.
        """

    @hookspec
    def check_health(self, extensions: Callable[[str], dict[str, Any]]) -> Iterable[Check]:
        """Report what ``menos-bus doctor`` should show of this plugin, as :class:`Check` items.

        ``extensions(point)`` is what plugins have registered at a point of this one, by name.
        Fires when somebody asks, in the process that serves the tasks. It may take seconds and
        import what it needs. An implementation that raises is itself reported as a problem.
        """
        return []
