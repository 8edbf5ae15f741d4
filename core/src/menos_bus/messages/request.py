"""How the main process of a worker settles a message once its task has ended."""

from __future__ import annotations

from typing import Any

from billiard.exceptions import TimeLimitExceeded
from celery.worker.request import Request


class BusRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """Celery's request; which failures become dead letters is decided here.

    One that its hard time limit ended does, too; one of a task without dead letters does not.
    """

    outlived = False
    """Whether the connection that brought it was lost while it ran."""

    _out_of_time = False

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """The time is up: Celery stores the failure and acknowledges the message."""
        self._out_of_time = not soft
        super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """The task has failed: of one whose time is up Celery hears here, too, and maybe first."""
        error = exc_info.exception
        self._out_of_time |= isinstance(getattr(error, "exc", error), TimeLimitExceeded)
        return super().on_failure(exc_info, *args, **kwargs)

    def acknowledge(self) -> None:
        """Acknowledge the message, unless it belongs to the dead letters."""
        if self._out_of_time:
            self.reject(requeue=False)
        else:
            super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        """Give the message back, or leave it to the dead letters, if its task has any."""
        if requeue or self.app.registry.leaves_dead_letter(self.name):
            super().reject(requeue)
        else:
            super().acknowledge()
