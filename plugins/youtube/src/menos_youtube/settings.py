"""Settings of the plugin: environment variables ``MENOS_YOUTUBE_…``, all of them optional."""

from __future__ import annotations

from typing import Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

YOUTUBE: Final = "https://www.youtube.com"


class YoutubeSettings(BaseSettings):
    """Where YouTube is, and how this plugin talks to it."""

    model_config = SettingsConfigDict(
        env_prefix="MENOS_YOUTUBE_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    api_key: SecretStr | None = Field(
        None,
        description="Key of the YouTube Data API v3. Without it title, author and the like come "
        "from the watch page. With it each new video costs 1 of the 10,000 units a day.",
    )
    api_url: str = Field(
        "https://www.googleapis.com/youtube/v3",
        description="Base URL of the Data API; a local server can stand in for it.",
    )
    site_url: str = Field(
        YOUTUBE,
        description="Base URL that every request for `https://www.youtube.com` is sent to: watch "
        "page, player, captions, oEmbed. A local server can stand in for it.",
    )
    timeout: float = Field(
        20.0, gt=0, le=300, description="Seconds that YouTube may be silent during a request."
    )
    proxy: SecretStr | None = Field(
        None,
        description="Proxy for all requests, such as `http://user:password@proxy:3128`, for hosts "
        "whose address YouTube blocks. By default HTTPS_PROXY and NO_PROXY count.",
    )

    @field_validator("api_url", "site_url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url.rstrip("/")
