"""What an Ollama server is asked: for models, vectors and answers.

The API is https://github.com/ollama/ollama/blob/main/docs/api.md. What goes wrong in the middle of
a stream comes as a line with `error` under status 200.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from menos_vault.errors import ModelMissing, ModelUnavailable, VaultError
from menos_vault.models import Health
from menos_vault.ollama.connection import TRIES, Connection

_HEALTH = 3.0  # seconds of silence when somebody only asks how it is
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
        self._setting = setting
        self._connection = Connection(self.url, timeout=timeout, setting=setting)

    def embed(self, body: dict[str, Any]) -> Any:
        """Return the vectors of an answer of `/api/embed`, unchecked."""
        return self._connection.ask("/api/embed", body).get("embeddings")

    def show(self, model: str, *, tries: int = TRIES) -> dict[str, Any]:
        """Return what the server knows of a model. Raises ModelMissing."""
        return self._connection.ask("/api/show", {"model": model}, tries=tries)

    def digest(self, model: str) -> str:
        """Return the hash of a model's files, or an empty text if the server does not say it."""
        listed = self._connection.get("/api/tags").get("models")
        for found in listed if isinstance(listed, list) else []:
            if isinstance(found, dict) and _same(str(found.get("name")), model):
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
        for line in self._connection.stream("/api/chat", {**body, "stream": True}, seconds=seconds):
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
            return Health.failed("ollama", error, "look into Ollama's log")
        return Health("ollama", True, f"{model} is at {self.url}")

    def pull(self, model: str, *, seconds: float, on_progress: Progress | None = None) -> None:
        """Let the server fetch a model; `on_progress` gets (bytes done, bytes in all so far)."""
        layers: dict[str, _Layer] = {}
        last: dict[str, Any] = {}
        for last in self._connection.stream(
            "/api/pull",
            {"model": model, "stream": True},
            seconds=seconds,
            setting="MENOS_VAULT_DOWNLOAD_TIMEOUT",
        ):
            if "error" in last:
                said = str(last["error"])[:_LONGEST_WORDS]
                trouble = f"Ollama at {self.url} cannot pull {model!r}: {said}"
                if any(words in said for words in _UNKNOWN):
                    raise ModelMissing(f"{trouble}; check the model's name")
                raise ModelUnavailable(f"{trouble}; try again, or run `ollama pull {model}` there")
            total = last.get("total")
            if isinstance(total, int):
                layers[str(last.get("digest"))] = _Layer(int(last.get("completed") or 0), total)
                if on_progress is not None:
                    done = sum(layer.done for layer in layers.values())
                    on_progress(done, sum(layer.total for layer in layers.values()))
        if last.get("status") != "success":
            raise ModelUnavailable(
                f"Ollama at {self.url} stopped while it pulled {model!r}; try again: it goes on "
                "where it was"
            )


class _Layer(NamedTuple):
    """How much of one of a model's files was fetched, in bytes."""

    done: int
    total: int


def _same(one: str, other: str) -> bool:
    """Say whether two names mean one model: `latest` may be left out."""
    return one.removesuffix(":latest") == other.removesuffix(":latest")
