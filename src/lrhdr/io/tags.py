"""Small facts that a video file carries about itself: its comment and its time code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av


def read_comment(path: str | os.PathLike[str]) -> str | None:
    """The comment of a video file; None where there is none, or no readable file."""
    return _read(path, "comment")


def read_timecode(path: str | os.PathLike[str]) -> str | None:
    """The time code of a video file's first frame as text (HH:MM:SS:FF, or ;FF); None where there is none."""
    return _read(path, "timecode")


def _read(path: str | os.PathLike[str], key: str) -> str | None:
    try:
        with av.open(str(Path(path).absolute()), metadata_errors="replace") as container:
            # Cameras write the time code to the video stream, to a data stream of its own, or to the file.
            places: list[Any] = [container, *container.streams.video, *container.streams.data]
            for place in places:
                tags = {name.lower(): value for name, value in place.metadata.items()}
                if key in tags:
                    return str(tags[key])
    except (av.FFmpegError, OSError):
        pass
    return None
