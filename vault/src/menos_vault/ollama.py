"""A client of Ollama's HTTP API: what is asked, what an answer means, which errors may pass.

The API is https://github.com/ollama/ollama/blob/main/docs/api.md. Errors are told by their status,
because their texts vary between versions; those in the middle of a stream come as a line with
`error` under status 200.
"""

import functools
import json
import random
import ssl
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from menos_vault.errors import ModelFailed, ModelMissing, ModelUnavailable, VaultError
from menos_vault.models import Health

if TYPE_CHECKING:
    import httpx

_TRIES = 3
_WAIT = 0.2  # seconds before the second try, at most; then three times as many
_CONNECT = 5.0  # seconds for a connection
_HEALTH = 3.0  # seconds of silence when somebody only asks how it is
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNKNOWN = ("does not exist", "not found", "invalid model name")  # what the registry may say
_LONGEST_WORDS = 300  # characters of a server's words that are repeated

Progress = Callable[[int, int], None]


class OllamaServer:
    """One Ollama server. Thread-safe; nothing is asked before the first call.

    Every method raises ModelUnavailable (down, busy, too slow: may pass), ModelMissing (it has no
    such model) and ModelFailed (it refused, or is no Ollama server).
    """

    def __init__(
        self, url: str, *, timeout: float, setting: str = "MENOS_VAULT_OLLAMA_URL"
    ) -> None:
        """Remember where.

        `timeout` is how many seconds the server may be silent; `setting` the name of the variable
        that has the URL, for error messages.
        """
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._setting = setting

    def ask(self, path: str, body: dict[str, Any], *, tries: int = _TRIES) -> dict[str, Any]:
        """Post to a path that answers with one JSON object, again if that may help at once."""
        longest = _WAIT
        while True:
            tries -= 1
            try:
                with self._explained(body):
                    answer = self._http.post(path, json=body)
                    self._check(answer, body)
                    return _object(answer.content)
            except _TryAgain as error:
                if tries <= 0:
                    raise error.reason from error.__cause__
            # Full jitter, so that those who met do not meet again.
            time.sleep(random.uniform(0, longest))  # noqa: S311 - no secret
            longest *= 3

    def stream(
        self, path: str, body: dict[str, Any], *, seconds: float
    ) -> Iterator[dict[str, Any]]:
        """Post to a path that answers with JSON lines, and give one after the other.

        Raises ModelUnavailable also when it has not ended after `seconds`.
        """
        deadline = time.monotonic() + seconds
        try:
            with self._explained(body), self._http.stream("POST", path, json=body) as answer:
                if answer.status_code != 200:
                    answer.read()
                    self._check(answer, body)
                for line in answer.iter_lines():
                    if time.monotonic() > deadline:
                        raise ModelUnavailable(f"Ollama at {self.url} took over {seconds:g} s")
                    if line:
                        yield _object(line.encode())
        except _TryAgain as error:
            raise error.reason from error.__cause__

    def show(self, model: str, *, tries: int = _TRIES) -> dict[str, Any]:
        """Return what the server knows of a model. Raises ModelMissing."""
        return self.ask("/api/show", {"model": model}, tries=tries)

    def digest(self, model: str) -> str:
        """Return the hash of a model's files, or an empty text if the server does not say it."""
        with self._explained({}):
            try:
                answer = self._http.get("/api/tags")
                self._check(answer, {})
                listed = _object(answer.content).get("models")
            except _TryAgain as error:
                raise error.reason from error.__cause__
        for found in listed if isinstance(listed, list) else []:
            if isinstance(found, dict) and same_model(str(found.get("name")), model):
                return str(found.get("digest") or "").removeprefix("sha256:")
        return ""

    def ensure(
        self, model: str, *, pull: bool, seconds: float, on_progress: Progress | None = None
    ) -> dict[str, Any]:
        """Return what the server knows of a model, which it pulls before if it must and may."""
        try:
            return self.show(model)
        except ModelMissing:
            if not pull:
                raise
        self.pull(model, seconds=seconds, on_progress=on_progress)
        return self.show(model)

    def chat(self, body: dict[str, Any], *, seconds: float) -> str:
        """Let a model answer to messages, and return all that it said."""
        said: list[str] = []
        for line in self.stream("/api/chat", {**body, "stream": True}, seconds=seconds):
            if "error" in line:
                trouble = str(line["error"])[:_LONGEST_WORDS]
                raise ModelUnavailable(
                    f"Ollama at {self.url} stopped in the middle of an answer: {trouble}; try again"
                )
            message = line.get("message")
            if isinstance(message, dict):
                said.append(str(message.get("content") or ""))
            if line.get("done"):
                return "".join(said)
        raise ModelUnavailable(
            f"Ollama at {self.url} stopped in the middle of an answer; try again"
        )

    def look_for(self, model: str, *, pull: bool) -> Health:
        """Look whether the model is there, once and with little patience; never raises."""
        server = OllamaServer(self.url, timeout=_HEALTH, setting=self._setting)
        try:
            server.show(model, tries=1)
        except VaultError as error:
            if pull and isinstance(error, ModelMissing):
                message = f"{model} will be pulled at first use by Ollama at {self.url}"
                return Health("ollama", True, message)
            message, _, fix = str(error).partition("; ")
            return Health("ollama", False, message, fix or "look into Ollama's log")
        return Health("ollama", True, f"{model} is at {self.url}")

    def pull(self, model: str, *, seconds: float, on_progress: Progress | None = None) -> None:
        """Let the server fetch a model; `on_progress` gets (bytes done, bytes in all so far)."""
        layers: dict[str, Layer] = {}
        last: dict[str, Any] = {}
        for last in self.stream("/api/pull", {"model": model, "stream": True}, seconds=seconds):
            if "error" in last:
                said = str(last["error"])[:_LONGEST_WORDS]
                trouble = f"Ollama at {self.url} cannot pull {model!r}: {said}"
                if any(words in said for words in _UNKNOWN):
                    raise ModelMissing(f"{trouble}; check the model's name")
                raise ModelUnavailable(f"{trouble}; try again, or run `ollama pull {model}` there")
            total = last.get("total")
            if isinstance(total, int):
                layers[str(last.get("digest"))] = Layer(int(last.get("completed") or 0), total)
                if on_progress is not None:
                    done = sum(layer.done for layer in layers.values())
                    on_progress(done, sum(layer.total for layer in layers.values()))
        if last.get("status") != "success":
            raise ModelUnavailable(
                f"Ollama at {self.url} stopped while it pulled {model!r}; try again: it goes on "
                "where it was"
            )

    @functools.cached_property
    def _http(self) -> "httpx.Client":
        import httpx

        client = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(self._timeout, connect=min(_CONNECT, self._timeout)),
            verify=_certificates(),
            # A server of one's own is not behind the proxy to the world outside.
            trust_env=False,
        )
        weakref.finalize(self, client.close)
        return client

    @contextmanager
    def _explained(self, body: dict[str, Any]) -> Iterator[None]:
        """Turn what the client raises into our errors."""
        import httpx

        try:
            yield
        except httpx.TimeoutException as error:
            raise ModelUnavailable(
                f"Ollama at {self.url} was silent for {self._timeout:g} s; try again, or raise "
                "MENOS_VAULT_OLLAMA_TIMEOUT"
            ) from error
        except httpx.TransportError as error:
            raise _TryAgain(
                ModelUnavailable(
                    f"cannot reach Ollama at {self.url}: {error or type(error).__name__}; start it "
                    f"with `ollama serve`, or correct {self._setting}"
                )
            ) from error
        except (ValueError, httpx.HTTPError) as error:
            raise ModelFailed(
                f"{self.url} does not answer as Ollama does: {str(error)[:_LONGEST_WORDS]}; "
                f"correct {self._setting}"
            ) from error

    def _check(self, answer: "httpx.Response", body: dict[str, Any]) -> None:
        """Say what a status other than 200 means."""
        status = answer.status_code
        if status == 200:
            return
        said = _error_of(answer.content)
        trouble = f"Ollama at {self.url} answered {status}: {said or 'no reason'}"
        if status == 404 and said and "model" in body:
            model = body["model"]
            raise ModelMissing(f"{trouble}; run `ollama pull {model}` on that machine")
        if status in _PASSING:
            raise _TryAgain(ModelUnavailable(f"{trouble}; try again"))
        if said:
            raise ModelFailed(trouble)
        raise ModelFailed(f"{trouble}; correct {self._setting}, it may be another server's")


class Layer(NamedTuple):
    """How much of one of a model's files was fetched, in bytes."""

    done: int
    total: int


def same_model(one: str, other: str) -> bool:
    """Say whether two names mean one model: `latest` may be left out."""
    return one.removesuffix(":latest") == other.removesuffix(":latest")


class _TryAgain(Exception):
    """What may pass at once; `reason` is what to raise if it does not."""

    def __init__(self, reason: VaultError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Return what the operating system trusts; reading it takes longer than a small request."""
    return ssl.create_default_context()


def _object(data: bytes) -> dict[str, Any]:
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("an answer that is no JSON object")
    return value


def _error_of(data: bytes) -> str:
    """Return the words of an error, or an empty text if it is not one of Ollama's."""
    try:
        return str(_object(data)["error"])[:_LONGEST_WORDS]
    except (ValueError, KeyError):
        return ""
