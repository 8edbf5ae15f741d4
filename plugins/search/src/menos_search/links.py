"""Links to a second of a video."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit


def link_to_second(url: str, start: float | None) -> str:
    """Let a YouTube link begin at a second: ``…/watch?v=<id>&t=90s``.

    Args:
        url: any link.
        start: seconds from the beginning, or ``None``.

    Returns:
        The link with ``t``, in the place of one that it had; unchanged if it is none of YouTube
        or there is no second.
    """
    if start is None:
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:  # such as an unclosed bracket in the host
        return url
    if host != "youtu.be" and not f".{host}".endswith((".youtube.com", ".youtube-nocookie.com")):
        return url
    kept = [part for part in parts.query.split("&") if part and part.partition("=")[0] != "t"]
    query = "&".join([*kept, urlencode({"t": f"{int(max(0.0, start))}s"})])
    return urlunsplit(parts._replace(query=query))
