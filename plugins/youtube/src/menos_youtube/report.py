"""What became of each video of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NotRequired

from typing_extensions import TypedDict

from menos_bus import fan_out
from menos_youtube.follow_up import process_content
from menos_youtube.video_id import watch_url

if TYPE_CHECKING:
    from menos_bus.outcomes.outcome import Outcome
    from menos_youtube.collection import Collection, Video

_INGEST: Final = "tasks.ingest_youtube"


class Problem(TypedDict):
    """Why a video was not stored."""

    code: str
    message: str


class VideoReport(TypedDict):
    """What became of one video.

    ``error`` says why it failed, or why the vault has only its metadata; ``task_id`` is the call
    that was made for it, if one was.
    """

    video_id: str
    title: str
    status: Literal["stored", "skipped", "failed"]
    content_id: NotRequired[str]
    task_id: NotRequired[str]
    process_task_id: NotRequired[str]
    error: NotRequired[Problem]


class Report(TypedDict):
    """What became of a list.

    ``status`` is ``success`` if nothing failed, ``partial`` if some videos did, ``failed`` if all.
    ``total`` is how many videos YouTube says the list has, ``more`` whether it had more than were
    taken.
    """

    status: Literal["success", "partial", "failed"]
    id: str
    title: str | None
    total: int | None
    more: bool
    stored: int
    skipped: int
    failed: int
    videos: list[VideoReport]


def ingest_all(collection: Collection, options: dict[str, Any]) -> Report:
    """Ingest the wanted videos of a list, side by side, and report when all have ended.

    Args:
        collection: what the list has.
        options: further arguments for the call of each video.

    Raises:
        Deferred: some are still under way; the bus runs the task again.
    """
    calls = {
        video.id: {"url": watch_url(video.id), **options}
        for video in collection.videos
        if video.state == "wanted"
    }
    outcomes = fan_out(_INGEST, calls, stage="ingesting") if calls else {}
    videos = [_report(video, outcomes.get(video.id)) for video in collection.videos]
    if operations := options.get("process"):
        for video in videos:
            if video["status"] == "skipped" and "error" not in video:
                video["process_task_id"] = process_content(
                    video["content_id"], operations, priority=options.get("priority", False)
                )
    counts = {
        status: sum(video["status"] == status for video in videos)
        for status in ("stored", "skipped", "failed")
    }
    failed = counts["failed"]
    return {
        "status": "success" if not failed else "failed" if failed == len(videos) else "partial",
        "id": collection.id,
        "title": collection.title,
        "total": collection.total,
        "more": collection.more,
        "stored": counts["stored"],
        "skipped": counts["skipped"],
        "failed": failed,
        "videos": videos,
    }


def _report(video: Video, outcome: Outcome | None) -> VideoReport:
    from menos_vault import content_id

    report: VideoReport = {"video_id": video.id, "title": video.title, "status": "failed"}
    if video.state in ("stored", "no_transcript"):
        report["status"], report["content_id"] = "skipped", content_id(f"yt:{video.id}")
        if video.state == "no_transcript":
            told = "it had no transcript when it was last looked at"
            report["error"] = {"code": "no_transcript", "message": told}
    elif outcome is None:
        told = "the video is private, was removed, or is not out yet"
        report["error"] = {"code": "video_unavailable", "message": told}
    else:
        report["task_id"] = outcome.task_id
        if outcome.state == "SUCCESS":
            report["status"] = "stored"
            report["title"] = outcome.result["title"]
            report["content_id"] = outcome.result["content_id"]
            if "process_task_id" in outcome.result:
                report["process_task_id"] = outcome.result["process_task_id"]
        else:
            error = outcome.error or {"code": outcome.state.lower(), "message": outcome.state}
            report["error"] = {"code": error["code"], "message": error["message"]}
    return report
