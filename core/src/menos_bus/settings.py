"""The core's settings: environment variables ``MENOS_…``, or a ``.env`` file beside the process.

Without any of them the bus is embedded: one process, no servers. With ``MENOS_BROKER_URL`` it is
a member of a fleet. ``docs/settings.md`` and ``.env.example`` are generated from the classes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from menos_bus.errors import SettingsError
from menos_bus.wanted import Wanted

UserName = Annotated[
    str,
    Field(pattern=r"^[!-9;-~]+$"),
    Wanted("printable ASCII without a colon or a space, such as `menos`"),
]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class BusSettings(BaseSettings):
    """Settings of the bus itself."""

    model_config = SettingsConfigDict(
        env_prefix="MENOS_", env_file=".env", extra="ignore", frozen=True
    )

    home: Path = Field(
        Path(".menos"),
        description="The data folder: ledger, results, credentials and the embedded vault.",
    )
    plugins: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="The plugins to load, in this order, separated by commas; empty for none. "
        "By default all that are installed.",
    )
    broker_url: str | None = Field(
        None,
        repr=False,  # a password stands in it, and in the next one
        description="The broker of a fleet, such as `amqp://user:password@rabbit:5672/menos`. "
        "By default the bus is embedded: one process with a broker in memory.",
    )
    result_backend: str | None = Field(
        None,
        repr=False,
        description="Where a fleet keeps results, such as `redis://redis:6379/0`. "
        "Needed with `MENOS_BROKER_URL`.",
    )
    concurrency: int = Field(4, ge=1, le=256, description="Tasks that a worker runs at a time.")
    result_expires: float = Field(
        7 * 24 * 3600.0, ge=60, description="Seconds for which the outcome of a task is kept."
    )
    max_retries: int = Field(
        7,
        ge=0,
        le=1000,
        description="How often a failure that may pass is tried again, such as a server that is "
        "away, unless the task declares its own `max_retries`: 7 retries last one to two minutes. "
        "An unexpected exception is tried again three times at most.",
    )
    delivery_limit: int = Field(
        5,
        ge=1,
        description="How often a task may be cut off by the death of its process before it is "
        "given up as a FAILURE with the code `crash_loop`.",
    )
    shutdown_grace: float = Field(
        30.0,
        ge=0,
        description="Seconds that running tasks get to finish when the bus is stopped; what is "
        "still running then starts again at the next start.",
    )
    flower_host: str = Field("127.0.0.1", description="The address that Flower listens on.")
    flower_port: int = Field(
        5555, ge=0, le=65535, description="The port that Flower listens on; 0 takes a free one."
    )
    flower_user: UserName = Field(
        "menos",
        description="The operator's user name at the HTTP doors: printable ASCII without a colon "
        "or a space.",
    )
    flower_password: SecretStr | None = Field(
        None,
        description="The operator's password, who may do everything. By default one is generated "
        "and kept in `credentials.json` in the data folder, readable by its owner only.",
    )
    caller_user: UserName = Field(
        "caller",
        description="The user name of callers, who may submit calls and read results at the HTTP "
        "doors, and nothing else: printable ASCII without a colon or a space.",
    )
    caller_password: SecretStr | None = Field(
        None,
        description="The password of callers; also their bearer token. By default one is "
        "generated and kept in `credentials.json` in the data folder.",
    )
    broker_api: SecretStr | None = Field(
        None,
        description="RabbitMQ's management API for Flower's broker page, such as "
        "`http://user:password@rabbit:15672/api/`. Queue lengths are known without it.",
    )
    api_host: str = Field("127.0.0.1", description="The address that the HTTP API listens on.")
    api_port: int = Field(
        8000,
        ge=0,
        le=65535,
        description="The port that the HTTP API listens on; 0 takes a free one.",
    )
    soft_time_limit: float = Field(
        300.0,
        gt=0,
        description="Seconds after which a fleet's task is told to end, unless it declares its "
        "own `soft_time_limit`.",
    )
    time_limit: float = Field(
        600.0,
        gt=0,
        description="Seconds after which a fleet's task is ended with its process, unless it "
        "declares its own `time_limit`.",
    )
    consumer_timeout: float = Field(
        1800.0,
        gt=0,
        description="RabbitMQ's `consumer_timeout` in seconds: a worker refuses to start with a "
        "task that may run longer. RabbitMQ's own default is 30 minutes.",
    )
    max_tasks_per_child: int = Field(
        1000, ge=1, description="Tasks that a process of a worker runs before it is replaced."
    )
    result_compression: Literal["gzip", "bzip2", "none"] = Field(
        "gzip", description="How a fleet's results are compressed."
    )
    callback_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Where callbacks may go besides public addresses, separated by commas: "
        "`host:port`, an address or a network such as `10.0.0.0/8`. n8n in the same network needs "
        "its `host:port` here.",
    )
    callback_secret: SecretStr | None = Field(
        None,
        description="Signs callbacks by Standard Webhooks: `whsec_` and the base64 of 24 to 64 "
        "random bytes; two of them, separated by a comma, while it is being changed. Without it "
        "callbacks are not signed.",
    )
    callback_token: SecretStr | None = Field(
        None,
        description="Sent with callbacks as the header `X-Menos-Token`, for receivers that cannot "
        "verify a signature, such as n8n's header authentication.",
    )
    callback_timeout: float = Field(
        10.0, ge=1, le=60, description="Seconds that one try to deliver a callback may take in all."
    )
    log_level: LogLevel = Field("WARNING", description="What is logged, from this level up.")

    @model_validator(mode="before")
    @classmethod
    def _read_texts(cls, values: dict[str, object]) -> dict[str, object]:
        for name in ("plugins", "callback_allow"):
            if isinstance(listed := values.get(name), str):
                values[name] = tuple(item.strip() for item in listed.split(",") if item.strip())
        # An empty variable, as compose files leave behind, is one that is not set.
        return {name: value for name, value in values.items() if value != ""}

    @field_validator("flower_password", "caller_password", "callback_token")
    @classmethod
    def _plain_password(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and not re.fullmatch(r"[ -~]+", password.get_secret_value()):
            raise ValueError(
                "use printable ASCII characters: clients differ in how they send others"
            )
        return password

    @model_validator(mode="after")
    def _fleet_is_whole(self) -> BusSettings:
        if (self.broker_url is None) != (self.result_backend is None):
            raise ValueError("MENOS_BROKER_URL and MENOS_RESULT_BACKEND go together: set both")
        return self

    @model_validator(mode="after")
    def _limits_are_in_order(self) -> BusSettings:
        if self.soft_time_limit > self.time_limit:
            raise ValueError("MENOS_SOFT_TIME_LIMIT is longer than MENOS_TIME_LIMIT")
        return self

    @property
    def embedded(self) -> bool:
        """Whether everything runs in one process."""
        return self.broker_url is None

    def make_home(self) -> Path:
        """Create the data folder, for its owner only: texts and results are in it.

        Raises:
            SettingsError: it cannot be created or written; names the folder.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SettingsError(
                f"the data folder {self.home} cannot be used ({error.strerror}): set MENOS_HOME "
                "to a folder that can be written"
            ) from error
        return self.home

    @classmethod
    def load(cls, **overrides: object) -> BusSettings:
        """Read the settings.

        Raises:
            SettingsError: names each variable that is wrong and why.
        """
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except UnicodeDecodeError as error:
            raise SettingsError(f".env is not UTF-8 text: {error}") from None
        except ValidationError as error:
            raise SettingsError(wrong_variables(error, "MENOS_")) from None


def wrong_variables(error: ValidationError, prefix: str) -> str:
    """Which environment variables are wrong, and why.

    Args:
        error: what a settings class raised.
        prefix: what the names of its variables begin with.
    """
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        name = "_".join(map(str, item["loc"])).upper()
        reason = item["msg"].removeprefix("Value error, ")
        # What a validator says of several variables names them itself.
        problems.append(f"{prefix}{name}: {reason}" if name else reason)
    return "; ".join(problems)
