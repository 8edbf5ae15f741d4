"""The process-wide bus, so that ``celery -A menos_bus …`` works. The package's only global."""

from __future__ import annotations

from menos_bus.bus import Bus

bus = Bus()
app = bus.app
