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
        description="The broker of a fleet, such as `amqp://user:password@rabbit:5672/menos`. "
        "By default the bus is embedded: one process with a broker in memory.",
    )
    result_backend: str | None = Field(
        None,
        description="Where a fleet keeps results, such as `redis://redis:6379/0`. "
        "Needed with `MENOS_BROKER_URL`.",
    )
    concurrency: int = Field(4, ge=1, le=256, description="Tasks that a worker runs at a time.")
    result_expires: float = Field(
        7 * 24 * 3600.0, ge=60, description="Seconds for which the outcome of a task is kept."
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
    flower_user: str = Field(
        "menos",
        pattern=r"^[!-9;-~]+$",
        description="The user name at Flower's door: printable ASCII without a colon or a space.",
    )
    flower_password: SecretStr | None = Field(
        None,
        description="The password at Flower's door. By default one is generated and kept in "
        "`credentials.json` in the data folder, readable by its owner only.",
    )
    log_level: LogLevel = Field("WARNING", description="What is logged, from this level up.")

    @model_validator(mode="before")
    @classmethod
    def _read_texts(cls, values: dict[str, object]) -> dict[str, object]:
        if isinstance(names := values.get("plugins"), str):
            values["plugins"] = tuple(name.strip() for name in names.split(",") if name.strip())
        # An empty variable, as compose files leave behind, is one that is not set.
        return {name: value for name, value in values.items() if value != ""}

    @field_validator("flower_password")
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
            problems = []
            for item in error.errors(include_url=False):
                name = "_".join(map(str, item["loc"])).upper()
                problems.append(f"MENOS_{name}: {item['msg']}" if name else item["msg"])
            raise SettingsError("; ".join(problems)) from None
