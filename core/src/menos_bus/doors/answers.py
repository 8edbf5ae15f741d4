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


class QuotaStatus(BaseModel):
    """How a quota is on its present day; `null` where it has no limit a day."""

    name: str
    date: str = Field(description="The present day in the quota's zone.")
    limit: int | None = Field(description="Units a day.")
    units_used: int
    units_remaining: int | None = Field(description="Units left, the reserved ones included.")
    priority_reserved: int = Field(description="Units that only calls with priority may use.")
    percentage_used: float | None
    resets_at: str = Field(description="When the next day starts; ISO 8601, UTC.")
    lasts_until: str | None = Field(
        description="When calls without priority run out at today's pace; `null` if they do not "
        "before the reset."
    )
    closed: str | None = Field(
        description="What the service said when it refused for the rest of the day."
    )
    policy: str = Field(description="What a call without priority does then: `fail` or `wait`.")
    zone: str
    rate: float | None = Field(description="Uses a second.")


class Quotas(BaseModel):
    """How all quotas are."""

    quotas: list[QuotaStatus]


class Status(BaseModel):
    """Of the process."""

    status: str
