"""How the main process of a worker settles a message once its task has ended."""

from __future__ import annotations

from celery.worker.request import Request


class BusRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """Celery's request; a task that its hard time limit ended becomes a dead letter, too."""

    _out_of_time = False

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Celery stores the failure here and acknowledges the message."""
        self._out_of_time = not soft
        super().on_timeout(soft, timeout)

    def acknowledge(self) -> None:
        """Acknowledge the message, unless it belongs to the dead letters."""
        if self._out_of_time:
            self.reject(requeue=False)
        else:
            super().acknowledge()
