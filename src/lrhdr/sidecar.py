"""What was estimated of a clip, once, in a file: `clip.lrhdr.json`.

All that a reconstruction takes from the pixels (exposures, black, saturation, breaks) is one number for the whole clip,
so that nothing can flicker; and it is written down, so that a person can read and correct it, and so that parts of a
clip on several machines use the same. `lrhdr reconstruct` writes it into the run's own record beside the frames (key
"clip"), or to `--sidecar`, and reads both.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrhdr.alternation import Alternation, Break
from lrhdr.checks import InputError
from lrhdr.io.atomic import write_bytes

FORMAT = "lrhdr-clip"
VERSION = 1
KEY = "clip"
"""Where it lies in a run's record."""


NOT_INSPECTED = "not inspected"
"""The reason where nobody looked at the pixels."""


@dataclass(frozen=True)
class ClipFacts:
    """What is known of a clip.

    Attributes:
        n_frames: its length; facts of another clip are refused by it.
        size: (height, width).
        curve: the response curve, as `--crf` takes it.
        black: code of no light, in [0, 0.5).
        saturation: code of the full sensor, in (0.5, 1].
        exposures: relative exposures of one period from frame 0, by the pixels; empty where nothing certain was found.
        uncertainty: standard error of each in stops.
        breaks: where the alternation breaks.
        certain: whether the pixels were looked at and gave a certain answer.
        reason: why, in one sentence.
    """

    n_frames: int
    size: tuple[int, int]
    curve: str
    black: float = 0.0
    saturation: float = 1.0
    exposures: tuple[float, ...] = ()
    uncertainty: tuple[float, ...] = ()
    breaks: tuple[Break, ...] = ()
    certain: bool = False
    reason: str = NOT_INSPECTED

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: out of range.
        """
        if self.n_frames < 1 or min(self.size) < 1:
            raise ValueError(f"expected at least one frame and pixel, found {self.n_frames} of {self.size}")
        if not 0 <= self.black < 0.5 < self.saturation <= 1:
            raise ValueError(f"expected 0 <= black < 0.5 < saturation <= 1, found {self.black}, {self.saturation}")
        if len(self.exposures) == 1 or any(not (math.isfinite(e) and e > 0) for e in self.exposures):
            raise ValueError(f"expected no or at least two exposures above 0, found {list(self.exposures)}")
        if self.exposures and (max(self.exposures) < 1.005 * min(self.exposures)):
            raise ValueError(f"expected different exposures, found {list(self.exposures)}")
        if len(self.uncertainty) not in (0, len(self.exposures)) or any(not u >= 0 for u in self.uncertainty):
            raise ValueError(f"expected one uncertainty of at least 0 per exposure, found {list(self.uncertainty)}")
        if any(not 0 < b.index < self.n_frames or b.count < 1 for b in self.breaks):
            raise ValueError(f"expected breaks inside the clip, found {self.breaks}")
        if self.breaks and not self.exposures:
            raise ValueError("expected no breaks without exposures")

    def phase(self, index: int) -> int:
        """Position in the period of a frame, breaks counted in."""
        shift = sum(-1 if b.kind != "dropped" else b.count for b in self.breaks if b.index <= index)
        return (index + shift) % len(self.exposures)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "n_frames": self.n_frames,
            "size": list(self.size),
            "curve": self.curve,
            "black": self.black,
            "saturation": self.saturation,
            "exposures": list(self.exposures),
            "uncertainty_stops": list(self.uncertainty),
            "breaks": [{"index": b.index, "kind": b.kind, "count": b.count} for b in self.breaks],
            "certain": self.certain,
            "reason": self.reason,
        }


def clip_facts(
    n_frames: int, size: tuple[int, int], curve: str, found: Alternation, black: float, saturation: float
) -> ClipFacts:
    """Facts from an analysis, rounded to what is worth writing down.

    Args:
        n_frames: length of the clip.
        size: (height, width).
        curve: as `--crf` takes it.
        found: the alternation.
        black: code of no light.
        saturation: code of the full sensor.
    """
    return ClipFacts(
        n_frames,
        size,
        curve,
        round(black, 5),
        round(saturation, 5),
        tuple(float(f"{e:.5g}") for e in found.exposures),
        tuple(float(f"{u:.3g}") for u in found.uncertainty),
        found.breaks,
        found.period > 0,
        found.reason,
    )


def write_sidecar(path: str | os.PathLike[str], facts: ClipFacts) -> None:
    """Write facts to a file of their own.

    Args:
        path: the file; its folder must exist.
        facts: what to write.

    Raises:
        OutputError: it cannot be written.
    """
    write_bytes(path, (json.dumps(facts.to_dict(), indent=2) + "\n").encode())


def read_sidecar(path: str | os.PathLike[str]) -> ClipFacts:
    """Read facts from a file of their own or from a run's record.

    Args:
        path: the file.

    Returns:
        The facts.

    Raises:
        InputError: missing, no JSON, of another format or version, or with values that make no sense.
    """
    file = Path(path)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: expected a sidecar, found nothing") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a sidecar ({' '.join(str(error).split())[:100]})") from error
    if isinstance(found, dict) and isinstance(found.get(KEY), dict):
        found = found[KEY]
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{file}: expected a sidecar that lrhdr wrote, found other JSON")
    if found.get("version") != VERSION:
        raise InputError(f"{file}: found version {found.get('version')!r} of the sidecar, expected {VERSION}")
    try:
        return ClipFacts(
            int(found["n_frames"]),
            (int(found["size"][0]), int(found["size"][1])),
            str(found["curve"]),
            float(found["black"]),
            float(found["saturation"]),
            tuple(float(e) for e in found["exposures"]),
            tuple(float(u) for u in found["uncertainty_stops"]),
            tuple(Break(int(b["index"]), str(b["kind"]), int(b["count"])) for b in found["breaks"]),
            bool(found["certain"]),
            str(found["reason"]),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{file}: not a usable sidecar ({what})") from error
