"""Settings of the plugin: environment variables ``MENOS_CONTENT_…``, all of them optional."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from menos_vault.addresses import is_http


class ContentSettings(BaseSettings):
    """How texts are cut and summarised. A change applies to what is processed from then on."""

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

    summaries: Literal["extractive", "ollama"] = Field(
        default="extractive",
        description="How summaries are made: `extractive` (sentences of the text) or `ollama` (in "
        "a model's own words, with bullets, tags and topics).",
    )
    ollama_url: str = Field(
        default="",
        description="The Ollama server that summarises. Default: MENOS_VAULT_OLLAMA_URL.",
    )
    ollama_model: str = Field(
        default="llama3.2", min_length=1, description="Its model that summarises."
    )
    ollama_context: int = Field(
        default=8192,
        ge=4096,
        le=131_072,
        description="Tokens that one request to it has, its answer included; a longer text is "
        "summarised in parts. More of them need more memory there.",
    )

    @field_validator("ollama_url")
    @classmethod
    def _http_url(cls, url: str) -> str:
        if url and not is_http(url):
            raise ValueError("must be http://host:port or https://host:port")
        return url

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.chunk_overlap > self.chunk_tokens // 2:
            raise ValueError(
                f"chunk_overlap is {self.chunk_overlap}, more than half of chunk_tokens "
                f"({self.chunk_tokens})"
            )
        return self
