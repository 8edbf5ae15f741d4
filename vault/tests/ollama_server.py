"""A server that speaks Ollama's HTTP API, for tests: real HTTP, made-up models.

What it answers follows https://github.com/ollama/ollama/blob/main/docs/api.md and the server's own
error codes: 404 for a model it has not got, 400 for a wrong request, errors in the middle of a
stream as a line under status 200.
"""

import hashlib
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Vectors = Callable[[list[str]], list[list[float]]]
Answer = tuple[int, Any]


class Model(NamedTuple):
    """A model that the server has or can pull; without a dimension it is one that writes."""

    dimension: int = 0
    context: int = 2048
    parameters: str = ""


class OllamaDouble(ThreadingHTTPServer):
    """The server, what it has, and what it was asked."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.models = {"nomic-embed-text:latest": Model(64), "llama3.2:latest": Model()}
        self.at_the_registry = {"mxbai-embed-large:latest": Model(32, context=512)}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Path and body of each POST."""
        self.next: deque[Answer] = deque()
        """Answers that are given before all others, to any POST: a status and a body."""
        self.vectors: Vectors | None = None
        """Where vectors come from; by default they are made of the texts' words."""
        self.replies: deque[str] = deque()
        """What the writing model says, one after the other; then a summary of what it is given."""
        self.breaks_off = False
        """Whether streams end with an error in their middle."""
        self.silence = 0.0
        """Seconds before each answer."""

        self.goes_on = threading.Event()
        """While it is not set, answers with vectors wait, and pulls do in their middle."""
        self.goes_on.set()

        self._connections: list[socket.socket] = []

    def posts(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.asked if asked == path]

    def get_request(self) -> tuple[socket.socket, Any]:
        accepted = super().get_request()
        self._connections.append(accepted[0])
        return accepted

    def hang_up(self) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that has gone."""


@contextmanager
def ollama(port: int = 0) -> Iterator[OllamaDouble]:
    with OllamaDouble(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.hang_up()
            thread.join()


def hashed(text: str, dimension: int) -> list[float]:
    """A vector that is nearer to that of a text with some of the same words."""
    vector = [0.0] * dimension
    for word in text.lower().split():
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % dimension] += 1
        vector[digest[1] % dimension] -= 0.5
    length = sum(number * number for number in vector) ** 0.5
    return [number / length for number in vector] if length else vector


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out in one piece
    server: OllamaDouble

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/api/tags":
            names = [{"name": name, "digest": _digest(name)} for name in self.server.models]
            self._answer(200, {"models": names})
        else:
            self._answer(404, b"404 page not found")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        time.sleep(self.server.silence)
        if self.server.next:
            return self._answer(*self.server.next.popleft())
        name = body["model"] if ":" in body["model"] else body["model"] + ":latest"
        if self.path == "/api/pull":
            return self._lines(self._pull(name))
        model = self.server.models.get(name)
        if model is None:
            return self._answer(404, {"error": f'model "{body["model"]}" not found'})
        if self.path == "/api/show":
            return self._answer(200, _shown(model))
        if self.path == "/api/embed":
            self.server.goes_on.wait(60)
            return self._answer(*self._embed(model, body))
        if self.path == "/api/chat":
            return self._lines(self._chat(body))
        return self._answer(404, b"404 page not found")

    def _embed(self, model: Model, body: dict[str, Any]) -> Answer:
        if not model.dimension:
            return 400, {"error": f'"{body["model"]}" does not support embeddings'}
        if not body.get("truncate", True) and any(
            len(text) // 3 > model.context for text in body["input"]
        ):
            return 400, {"error": "the input length exceeds the context length"}
        texts = body["input"]
        if self.server.vectors is not None:
            vectors = self.server.vectors(texts)
        else:
            vectors = [hashed(text, model.dimension) for text in texts]
        return 200, {"model": body["model"], "embeddings": vectors}

    def _pull(self, name: str) -> Iterator[dict[str, Any]]:
        yield {"status": "pulling manifest"}
        if name not in self.server.at_the_registry:
            yield {"error": "pull model manifest: file does not exist"}
            return
        for digest, total in (("sha256:a", 1000), ("sha256:b", 20)):
            for done in (0, total // 2, total):
                if done == total:
                    self.server.goes_on.wait(60)
                yield {"status": "pulling", "digest": digest, "total": total, "completed": done}
            if self.server.breaks_off:
                yield {"error": "max retries exceeded: connection reset by peer"}
                return
        yield {"status": "verifying sha256 digest"}
        self.server.models[name] = self.server.at_the_registry[name]
        yield {"status": "success"}

    def _chat(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        said = self.server.replies.popleft() if self.server.replies else _summary(body)
        for start in range(0, len(said), 20):
            words = {"role": "assistant", "content": said[start : start + 20]}
            yield {"model": body["model"], "message": words, "done": False}
            if self.server.breaks_off:
                yield {"error": "llama runner process has terminated"}
                return
        nothing = {"role": "assistant", "content": ""}
        yield {"model": body["model"], "message": nothing, "done": True, "done_reason": "stop"}

    def _answer(self, status: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _lines(self, lines: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            data = json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _shown(model: Model) -> dict[str, Any]:
    return {
        "parameters": model.parameters,
        "model_info": {"bert.context_length": model.context, "bert.block_count": 1},
        "capabilities": ["embedding"] if model.dimension else ["completion", "tools"],
    }


def _summary(body: dict[str, Any]) -> str:
    """What a model that does as it is told might say: the last words that it was given."""
    lines = body["messages"][1]["content"].splitlines()[1:-2]
    words = " ".join(lines).split()[-12:]
    said = {"summary": " ".join(words), "bullets": [words[0]], "tags": ["Tea"], "topics": ["x"]}
    return json.dumps(said)
