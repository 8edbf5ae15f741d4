"""How the command line asks a running bus."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from menos_bus import BusUnavailable
from menos_bus.doors.client import request
from menos_bus.doors.running import Address


def test_a_request_at_a_door_without_tls_reads_no_certificates(monkeypatch):
    monkeypatch.delattr(ssl, "create_default_context")
    nobody = Address("http://127.0.0.1:1", "menos", "secret", 1, "caller", "hush", None)

    with pytest.raises(BusUnavailable, match="does not answer"):
        request(nobody, "GET", "/api/health")


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"error": "no such page"}'])
def test_another_program_at_the_address_of_a_bus_is_not_taken_for_it(answer):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        address = Address(f"http://127.0.0.1:{server.server_port}", "menos", "secret")

        with pytest.raises(BusUnavailable, match="does not answer as a bus does"):
            request(address, "GET", "/api/health")
