"""Settings of the plugin: environment variables ``MENOS_YOUTUBE_…``, all of them optional."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

YOUTUBE: Final = "https://www.youtube.com"
_Words = Annotated[tuple[str, ...], NoDecode]


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
    sources: _Words = Field(
        ("youtube-transcript-api",),
        min_length=1,
        description="Who is asked for transcripts, separated by commas, in this order: "
        "`youtube-transcript-api`; `yt-dlp`, which needs `pip install 'menos-youtube[yt-dlp]'`; "
        "and what other plugins register.",
    )
    languages: _Words = Field(
        ("en",),
        min_length=1,
        description="Preferred languages of captions, as BCP 47 tags separated by commas, the best "
        "first. If there is none of them, the spoken language is taken.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_words(cls, values: dict[str, object]) -> dict[str, object]:
        for name in ("sources", "languages"):
            if isinstance(listed := values.get(name), str):
                values[name] = tuple(item.strip() for item in listed.split(",") if item.strip())
        return values

    @field_validator("api_url", "site_url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url.rstrip("/")
