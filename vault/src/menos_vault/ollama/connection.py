"""Requests to an Ollama server, and what its answers mean: which errors may pass, which may not.

Errors are told by their status, because their texts vary between versions.
"""

import functools
import json
import random
import ssl
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from menos_vault.errors import ModelFailed, ModelMissing, ModelUnavailable, VaultError

if TYPE_CHECKING:
    import httpx

TRIES = 3
"""How often a request is made that may pass at once."""

_WAIT = 0.2  # seconds before the second try, at most; then three times as many
_CONNECT = 5.0  # seconds for a connection
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WORDS = 300  # characters of a server's words that are repeated


class Connection:
    """A way to one server. Thread-safe; nothing is asked before the first call.

    Every method raises ModelUnavailable (down, busy, too slow: may pass), ModelMissing (it has no
    such model) and ModelFailed (it refused, or is no Ollama server).
    """

    def __init__(self, url: str, *, timeout: float, setting: str) -> None:
        """Remember where; see `OllamaServer`."""
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._setting = setting

    def ask(self, path: str, body: dict[str, Any], *, tries: int = TRIES) -> dict[str, Any]:
        """Post to a path that answers with one JSON object, again if that may help at once."""
        longest = _WAIT
        while True:
            tries -= 1
            try:
                with self._explained():
                    answer = self._http.post(path, json=body)
                    self._check(answer, body)
                    return _object(answer.content)
            except _TryAgain as error:
                if tries <= 0:
                    raise error.reason from error.__cause__
            # Full jitter, so that those who met do not meet again.
            time.sleep(random.uniform(0, longest))  # noqa: S311 - no secret
            longest *= 3

    def get(self, path: str) -> dict[str, Any]:
        """Get what a path answers, one JSON object."""
        try:
            with self._explained():
                answer = self._http.get(path)
                self._check(answer, {})
                return _object(answer.content)
        except _TryAgain as error:
            raise error.reason from error.__cause__

    def stream(
        self, path: str, body: dict[str, Any], *, seconds: float, setting: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Post to a path that answers with JSON lines, and give one after the other.

        Raises ModelUnavailable also when it has not ended after `seconds`, which `setting` says.
        """
        deadline = time.monotonic() + seconds
        try:
            with self._explained(), self._http.stream("POST", path, json=body) as answer:
                if answer.status_code != 200:
                    answer.read()
                    self._check(answer, body)
                for line in answer.iter_lines():
                    if time.monotonic() > deadline:
                        raise ModelUnavailable(
                            f"Ollama at {self.url} took more than {seconds:g} s; try again"
                            + (f", or raise {setting}" if setting else "")
                        )
                    if line:
                        yield _object(line.encode())
        except _TryAgain as error:
            raise error.reason from error.__cause__

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
    def _explained(self) -> Iterator[None]:
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
            said = str(error) or type(error).__name__
            raise _TryAgain(
                ModelUnavailable(
                    f"cannot reach Ollama at {self.url}: {said}; start it "
                    f"with `ollama serve`, or correct {self._setting}"
                )
            ) from error
        except (ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
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
