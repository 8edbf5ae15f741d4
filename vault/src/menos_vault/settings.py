"""Settings of the vault: environment variables `MENOS_VAULT_…`, all of them optional."""

import os
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from menos_vault.addresses import S3Place, is_http, s3_place
from menos_vault.errors import InvalidSettings


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # knows containers' and taskset's limits; Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("menos", appauthor=False)


class VaultSettings(BaseSettings):
    """Where the vault keeps what, and how it computes embeddings.

    Relative paths are made absolute when the settings are read, so that a later change of the
    working directory moves nothing.
    """

    model_config = SettingsConfigDict(
        env_prefix="MENOS_VAULT_",
        env_file=".env",
        env_ignore_empty=True,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        # An error message is no place for a secret key.
        hide_input_in_errors=True,
        # `model_path` is a field of ours and no method of pydantic's.
        protected_namespaces=(),
    )

    home: Path = Field(
        default=Path(".menos"),
        # Not AliasChoices with "home": that would read the variable HOME.
        validation_alias="MENOS_HOME",
        description="Data folder; the environment variable is MENOS_HOME, without VAULT.",
    )
    url: str = Field(
        default="",
        description="Where the records are: `surrealkv://<folder>` (in this process, one process "
        "at a time), `mem://` (in this process, gone at its end) or `ws://host:8000`, "
        "`wss://…` (a server). Default: surrealkv://<home>/vault/records.",
    )
    namespace: str = Field(default="menos", description="Namespace in the database.")
    database: str = Field(default="vault", description="Database in the namespace.")
    username: str = Field(default="", description="User at a database server; empty: no sign-in.")
    password: SecretStr = Field(default=SecretStr(""), description="Password at a database server.")
    timeout: float = Field(
        default=60.0,
        gt=0,
        description="Seconds after which a call to the database is given up, retries included.",
    )
    objects: str = Field(
        default="",
        description="Where the objects are: a folder, or `s3://bucket` or `s3://bucket/prefix` (an "
        "S3 server). Default: <home>/vault/objects.",
    )
    s3_endpoint: str = Field(
        default="https://s3.amazonaws.com",
        description="The S3 server, such as `http://minio:9000`; `https://` encrypts.",
    )
    s3_access_key: str = Field(default="", description="Access key at the S3 server.")
    s3_secret_key: SecretStr = Field(
        default=SecretStr(""), description="Secret key at the S3 server."
    )
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")
    s3_public_endpoint: str = Field(
        default="",
        description="The S3 server as readers of links reach it, if they do so by another name "
        "than the bus. Default: MENOS_VAULT_S3_ENDPOINT.",
    )
    s3_timeout: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that the S3 server may be silent; each call is tried three times.",
    )
    embeddings: Literal["local", "ollama"] = Field(
        default="local",
        description="Who computes embeddings: `local` (all-MiniLM-L6-v2 in this process) or "
        "`ollama` (a server). After a change reindex.",
    )
    ollama_url: str = Field(
        default="http://127.0.0.1:11434", description="The Ollama server, for embeddings."
    )
    ollama_model: str = Field(
        default="nomic-embed-text", min_length=1, description="Its embedding model."
    )
    ollama_pull: bool = Field(
        default=True,
        description="Whether a model that the server has not got is pulled at the first use, which "
        "may be gigabytes; otherwise that is an error.",
    )
    ollama_keep_alive: str = Field(
        default="5m",
        description="How long the server keeps a model loaded after a request: `30s`, `5m`, `24h`, "
        "`-1m` for ever.",
    )
    ollama_timeout: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that the server may be silent, loading the model included.",
    )
    ollama_batch: int = Field(default=32, ge=1, le=1000, description="Texts of one request to it.")
    ollama_document_prefix: str | None = Field(
        default=None,
        description="What stands before each document, or `none`. By default what the model's "
        "makers say: for nomic-embed-text `search_document: `.",
    )
    ollama_query_prefix: str | None = Field(
        default=None, description="The same for queries: for nomic-embed-text `search_query: `."
    )
    cache: Path = Field(
        default_factory=_user_cache,
        description="Folder that keeps the fetched model between projects. "
        "Default: the user's cache folder for `menos`.",
    )
    model_path: Path | None = Field(
        default=None,
        description="Folder with a BERT-like sentence model (model.safetensors, tokenizer.json, "
        "config.json) that is used instead of fetching one.",
    )
    threads: int = Field(
        default_factory=lambda: min(4, _processors()),
        ge=1,
        description="Processors that the local model uses at a time. Default: at most 4.",
    )
    download_timeout: float = Field(
        default=900.0, gt=0, description="Seconds after which fetching the model is given up."
    )

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        schemes = ("surrealkv://", "mem://", "ws://", "wss://")
        if url and not url.startswith(schemes):
            raise ValueError(f"must start with one of {', '.join(schemes)}")
        return url

    @field_validator("objects", mode="before")
    @classmethod
    def _path_or_url(cls, objects: object) -> object:
        return str(objects) if isinstance(objects, Path) else objects

    @field_validator("objects")
    @classmethod
    def _known_store(cls, objects: str) -> str:
        if "://" not in objects:
            return objects
        s3_place(objects)
        return objects.rstrip("/")

    @field_validator("s3_endpoint", "s3_public_endpoint")
    @classmethod
    def _server_only(cls, url: str) -> str:
        if url and not is_http(url, path=False):
            raise ValueError("must be http://host:port or https://host:port, and no path")
        return url.rstrip("/")

    @field_validator("ollama_url")
    @classmethod
    def _http_url(cls, url: str) -> str:
        if not is_http(url):
            raise ValueError("must be http://host:port or https://host:port")
        return url.rstrip("/")

    @field_validator("ollama_keep_alive")
    @classmethod
    def _duration(cls, text: str) -> str:
        if not re.fullmatch(r"-?\d+(ms|s|m|h)", text):
            raise ValueError("must be a number with ms, s, m or h behind it, such as 5m")
        return text

    @model_validator(mode="after")
    def _fill_in(self) -> Self:
        fill = object.__setattr__  # the model is frozen for everybody else
        fill(self, "home", self.home.expanduser().absolute())
        if not self.url:
            fill(self, "url", f"surrealkv://{(self.home / 'vault' / 'records').as_posix()}")
        elif self.url.startswith("surrealkv://"):
            folder = Path(self.url.removeprefix("surrealkv://")).expanduser().absolute()
            fill(self, "url", f"surrealkv://{folder.as_posix()}")
        if not self.objects:
            fill(self, "objects", str(self.home / "vault" / "objects"))
        elif self.s3_place is None:
            fill(self, "objects", str(Path(self.objects).expanduser().absolute()))
        elif not (self.s3_access_key and self.s3_secret_key.get_secret_value()):
            raise ValueError(
                f"objects are in {self.objects}: set MENOS_VAULT_S3_ACCESS_KEY and "
                "MENOS_VAULT_S3_SECRET_KEY"
            )
        fill(self, "cache", self.cache.expanduser().absolute())
        if self.model_path is not None:
            fill(self, "model_path", self.model_path.expanduser().absolute())
        return self

    @property
    def embedded(self) -> bool:
        """Whether the database runs in this process, which then is the only one that has it."""
        return not self.url.startswith(("ws://", "wss://"))

    @property
    def records_folder(self) -> Path | None:
        """Folder of the records, or None when they are in memory or at a server."""
        if not self.url.startswith("surrealkv://"):
            return None
        return Path(self.url.removeprefix("surrealkv://"))

    @property
    def s3_place(self) -> S3Place | None:
        """Bucket and prefix of the objects, or None when they are in a folder."""
        return s3_place(self.objects) if "://" in self.objects else None


def settings_of_environment() -> VaultSettings:
    """Read the settings. Raises InvalidSettings that names the variable and the reason."""
    try:
        return VaultSettings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if name and name != "MENOS_HOME":
            name = f"MENOS_VAULT_{name.upper()}"
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidSettings(f"{name}: {reason}" if name else reason) from None
