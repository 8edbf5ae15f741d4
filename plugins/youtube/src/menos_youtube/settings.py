"""Settings of the plugin: environment variables ``MENOS_YOUTUBE_…``, all of them optional."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from menos_youtube.costs import GENERAL, SEARCH

YOUTUBE: Final = "https://www.youtube.com"
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}")
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

    quota_limit: int = Field(
        GENERAL.limit, ge=0, description="Units of the Data API that the key has a day."
    )
    quota_reserve: int | None = Field(
        None,
        ge=0,
        description="Units of them that only calls with `priority` may use. By default a tenth.",
    )
    quota_zone: str = Field(
        "America/Los_Angeles", description="The time zone whose midnight resets the units."
    )
    quota_policy: Literal["fail", "wait"] = Field(
        "fail",
        description="What a call without `priority` does when no units are left for it: `fail` at "
        "once, or `wait` until the reset. Calls with `priority` always wait.",
    )
    search_limit: int = Field(
        SEARCH.limit,
        ge=0,
        description="Calls of `search.list` that the key has a day; only a channel's `/c/` URL "
        "needs one.",
    )
    transcript_rate: float = Field(
        2.0,
        ge=0,
        le=1000,
        description="Transcripts that all workers together fetch a second on average, after the "
        "first 10; 0 for as fast as it goes. YouTube blocks addresses that ask too often.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_words(cls, values: dict[str, object]) -> dict[str, object]:
        for name in ("sources", "languages"):
            if isinstance(listed := values.get(name), str):
                values[name] = tuple(item.strip() for item in listed.split(",") if item.strip())
        return values

    @model_validator(mode="after")
    def _reserve_fits(self) -> YoutubeSettings:
        if (self.quota_reserve or 0) > self.quota_limit:
            raise ValueError(
                "MENOS_YOUTUBE_QUOTA_RESERVE is more than MENOS_YOUTUBE_QUOTA_LIMIT: lower it"
            )
        return self

    @field_validator("languages")
    @classmethod
    def _language_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        for tag in tags:
            if not _TAG.fullmatch(tag):
                raise ValueError(f"{tag!r} is no BCP 47 tag such as `en` or `pt-BR`")
        return tags

    @field_validator("quota_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # some are folders
            raise ValueError(
                f"there is no time zone {zone!r}: give one like America/Los_Angeles (or is the "
                "package tzdata not installed?)"
            ) from None
        return zone

    @field_validator("api_key")
    @classmethod
    def _plain_key(cls, key: SecretStr | None) -> SecretStr | None:
        # Files with secrets end in a line end, which no header can carry.
        plain = key.get_secret_value().strip() if key is not None else ""
        if not re.fullmatch(r"[!-~]*", plain):
            raise ValueError("must be the key alone: letters, digits and signs, without spaces")
        return SecretStr(plain) if plain else None

    @field_validator("proxy")
    @classmethod
    def _known_proxy(cls, proxy: SecretStr | None) -> SecretStr | None:
        url = proxy.get_secret_value() if proxy is not None else "http://none"
        if not (re.fullmatch(r"https?://[^\s/]+/?", url) and _has_place(url)):
            raise ValueError("must be like http://user:password@proxy:3128 (SOCKS is not spoken)")
        return proxy

    @field_validator("api_url", "site_url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        if not (re.fullmatch(r"https?://[!-~]+", url) and _has_place(url)):
            raise ValueError("must be like https://host or http://host:port/path")
        return url.rstrip("/")


def _has_place(url: str) -> bool:
    """Whether a URL names a host, and a port that there can be if any."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
