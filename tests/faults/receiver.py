"""A webhook receiver that misbehaves in the ways that receivers do."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Meets each of its faults once, at the first try of another event, then takes everything.

    An event that met two of them would be tried again only after minutes.

    A fault is a status, ``drip`` (its headers come a byte at a time), ``redirect`` (into a cloud's
    metadata, or to ``inward``) or ``hang up``.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.inward = "http://169.254.169.254/latest/meta-data/"
        self.tries: list[str] = []
        """The event of each try."""
        self._taken: list[tuple[str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                event = self.headers["webhook-id"]
                first = event not in receiver.tries
                receiver.tries.append(event)
                with suppress(OSError):
                    self.meet(receiver.faults.pop(0) if first and receiver.faults else "200", body)

            def meet(self, fault: str, body: bytes) -> None:
                if fault == "hang up":
                    self.connection.close()
                elif fault == "drip":
                    for letter in b"HTTP/1.1 200 OK\r\nX-Slow: yes\r\n\r\n":
                        self.wfile.write(bytes([letter]))
                        time.sleep(0.2)
                else:
                    if fault == "200":
                        task_id = json.loads(body)["data"]["task_id"]
                        receiver._taken.append((self.headers["webhook-id"], task_id))
                    self.send_response(302 if fault == "redirect" else int(fault))
                    if fault == "redirect":
                        self.send_header("Location", receiver.inward)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.place}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self) -> set[str]:
        """The calls whose end arrived."""
        return {task_id for _, task_id in self._taken}

    def events(self) -> set[str]:
        """The ids of the events that arrived."""
        return {event for event, _ in self._taken}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
