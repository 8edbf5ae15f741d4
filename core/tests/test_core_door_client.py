"""How the command line asks a running bus."""

import ssl

import pytest

from menos_bus import BusUnavailable
from menos_bus.doors.client import request
from menos_bus.doors.running import Address


def test_a_request_at_a_door_without_tls_reads_no_certificates(monkeypatch):
    monkeypatch.delattr(ssl, "create_default_context")
    nobody = Address("http://127.0.0.1:1", "menos", "secret", 1, "caller", "hush", None)

    with pytest.raises(BusUnavailable, match="does not answer"):
        request(nobody, "GET", "/api/health")
