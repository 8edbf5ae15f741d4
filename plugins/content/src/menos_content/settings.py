"""Settings of the plugin: environment variables ``MENOS_CONTENT_…``, all of them optional."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ContentSettings(BaseSettings):
    """How texts are cut into passages. A change applies to what is processed from then on."""

    model_config = SettingsConfigDict(
        env_prefix="MENOS_CONTENT_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    chunk_tokens: int = Field(
        default=200,
        ge=16,
        le=8192,
        description="Tokens of the embedding model that a passage has at most; never more than "
        "the model reads.",
    )
    chunk_overlap: int = Field(
        default=40,
        ge=0,
        description="Tokens that a passage may share with the one before it, so that no thought "
        "is cut in two. At most half of MENOS_CONTENT_CHUNK_TOKENS.",
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.chunk_overlap > self.chunk_tokens // 2:
            raise ValueError(
                f"chunk_overlap is {self.chunk_overlap}, more than half of chunk_tokens "
                f"({self.chunk_tokens})"
            )
        return self
