"""What the HTTP API answers when all is well, for its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class Accepted(BaseModel):
    """The call is recorded and will run."""

    task_id: str
    status: Literal["queued"] = "queued"


class Failure(BaseModel):
    """Why a call failed, or is being tried again."""

    code: str = Field(description="A stable word for programs.")
    message: str
    tries: int


class Progress(BaseModel):
    """How far a call is."""

    stage: str
    done: float | None = None
    total: float | None = None


class CallOutcome(BaseModel):
    """What is known of a call now; `result`, `error`, `progress` only where they apply."""

    task_id: str
    status: str = Field(
        description="`PENDING`, `STARTED`, `PROGRESS`, `RETRY`, and at the end `SUCCESS`, "
        "`FAILURE` or `REVOKED`."
    )
    result: Any = None
    error: Failure | None = None
    progress: Progress | None = None


class Task(BaseModel):
    """A task that can be called."""

    name: str
    plugin: str
    queue: str
    summary: str
    parameters: dict[str, Any] = Field(description="The JSON Schema of its parameters.")


class Tasks(BaseModel):
    """All tasks that can be called here."""

    tasks: list[Task]


class Status(BaseModel):
    """Of the process."""

    status: str
