"""``Bus``: one Celery application and one set of plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from menos_bus.errors import BusUnavailable, UnknownTaskId
from menos_bus.plugins.extensions import Extensions
from menos_bus.plugins.hooks import Hooks
from menos_bus.plugins.loader import Declared, Plugin, State, load_plugins
from menos_bus.quota.register import Quotas
from menos_bus.quota.store import StoreDown
from menos_bus.settings import BusSettings
from menos_bus.tasks.register import Registry

if TYPE_CHECKING:
    from menos_bus.app import BusApp
    from menos_bus.outcomes.outcome import Outcome
    from menos_bus.quota.status import Status


class Bus:
    """The registry of tasks and everything that runs on it.

    Making one loads the plugins, and no more: Celery comes with :attr:`app`, when something is
    to be sent, served or looked up.

    Args:
        settings: by default read from the environment.
        modules: plugin modules to load instead of the installed ones (for tests).

    Raises:
        SettingsError: a core setting is wrong.
    """

    def __init__(
        self, settings: BusSettings | None = None, modules: Iterable[ModuleType] | None = None
    ) -> None:
        self.settings = settings or BusSettings.load()
        self._declared = Declared()
        self.plugins: list[Plugin] = load_plugins(self._declared, self.settings.plugins, modules)

    @property
    def hooks(self) -> Hooks:
        """The hooks of the loaded plugins."""
        return self._declared.hooks

    @property
    def registry(self) -> Registry:
        """Their tasks."""
        return self._declared.tasks

    @property
    def quotas(self) -> Quotas:
        """Their quotas."""
        return self._declared.quotas

    @property
    def loaded(self) -> list[Plugin]:
        """The plugins that work, and whose queues may be consumed."""
        return [plugin for plugin in self.plugins if plugin.state is State.LOADED]

    @property
    def newer(self) -> set[str]:
        """The plugins that were installed after these, or in another version."""
        return self._declared.newer()

    @property
    def extensions(self) -> Extensions:
        """What they offer to each other, and to the bus."""
        return self._declared.extensions

    @cached_property
    def app(self) -> BusApp:
        """The Celery application, with every task of the loaded plugins registered."""
        from menos_bus.configure import make_app

        app = make_app(self.settings, self._declared)
        for plugin in self.loaded:
            try:
                self.hooks.configure_app(plugin.name, app)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's fault stays its own
                reason = f"configure_app failed: {type(error).__name__}: {error}"
                plugin.take_out(State.FAILED, reason)
                self._declared.remove(plugin.name)
        return app

    def quota(self, name: str) -> Status:
        """How a quota is now.

        Raises:
            UnknownQuota: no loaded plugin declares it.
            BusUnavailable: the store of the quotas does not answer.
        """
        with _store_told():
            return self.app.gate.status(name)

    def reopen_quota(self, name: str) -> None:
        """Take back that the service calls a quota spent for today.

        Raises:
            UnknownQuota: no loaded plugin declares it.
            BusUnavailable: the store of the quotas does not answer.
        """
        with _store_told():
            self.app.gate.reopen(name)

    def submit(
        self,
        name: str,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> str:
        """Submit a call.

        Args:
            name: the task's name.
            args: positional arguments.
            kwargs: keyword arguments, the reserved ones among them.
            options: ``task_id``, ``countdown``, ``eta``, ``expires``.

        Returns:
            The task id. The call is recorded and published when this returns.

        Raises:
            CallError: nothing was queued; the subclass says why.
        """
        return str(self.app.send_task(name, args, kwargs or {}, **options).id)

    def outcome(self, task_id: str) -> Outcome:
        """What is known of a call now.

        Raises:
            UnknownTaskId: it was never accepted, or its record has expired.
            BusUnavailable: the store does not answer.
        """
        from menos_bus.outcomes.outcome import Outcome

        outcome = Outcome.read(self.app, task_id)
        if outcome.silent and task_id not in self.app.ledger:
            raise UnknownTaskId(
                f"no call with the id {task_id!r} is known: it was never accepted, or its result "
                f"has expired (they are kept {self.settings.result_expires / 3600:g} h)"
            )
        return outcome


@contextmanager
def _store_told() -> Iterator[None]:
    try:
        yield
    except StoreDown as down:
        raise BusUnavailable(f"{down.message}: try again") from down
