"""From a folder of bracketed stills to a response curve file and its picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrhdr.calibration import Calibration, calibrate
from lrhdr.checks import InputError
from lrhdr.clip_setup import check_places
from lrhdr.curve_plot import plot_curve
from lrhdr.io.atomic import make_parent
from lrhdr.io.curves import write_calibration
from lrhdr.io.images import write_png
from lrhdr.io.metadata import frame_stops, parse_numbers
from lrhdr.io.sources import ImageSequence, open_frames


@dataclass(frozen=True)
class CalibrationRun:
    """What was made.

    Attributes:
        calibration: the curve.
        output: its file.
        plot: its picture.
    """

    calibration: Calibration
    output: Path
    plot: Path


def calibrate_bracket(
    frames: str, output: str, *, exposures: str | None = None, stops: str | None = None, plot: str | None = None
) -> CalibrationRun:
    """Estimate a response curve from stills of one scene.

    Args:
        frames: folder or pattern, in the order of the exposures.
        output: the JSON file to write.
        exposures: seconds of each frame, "1/1000,1/250,..."; at most one of this and `stops`. With neither, EXIF.
        stops: the same in stops.
        plot: PNG to write; None for the output's name with .png.

    Returns:
        What was made and where.

    Raises:
        InputError: the frames or exposures cannot be used (see `calibrate`).
        OutputError: a file cannot be written.
    """
    source = open_frames(frames)
    if not isinstance(source, ImageSequence) or source.is_linear:
        found = "linear images" if isinstance(source, ImageSequence) else "a video"
        raise InputError(f"{frames}: found {found}, expected encoded stills (PNG, TIFF, JPEG) of one still scene")
    if exposures and stops:
        raise InputError("exposures: expected --exposures or --stops, found both")
    if exposures:
        seconds = parse_numbers(exposures, "exposures", "exposure times in seconds such as 1/1000,1/125")
    else:
        values = parse_numbers(stops, "stops", "stops such as -3,0,3") if stops else frame_stops(source.infos)
        if values is None:
            raise InputError(f"{frames}: found no exposure times in the images, expected --exposures or --stops")
        seconds = tuple(2.0**value for value in values)
    target, picture = Path(output), Path(plot) if plot else Path(output).with_suffix(".png")
    if target.suffix.lower() != ".json":
        raise InputError(f"{target}: expected a name ending in .json, the curve that --crf reads")
    if picture.suffix.lower() != ".png":
        raise InputError(f"plot: expected a .png file, found {picture}")
    check_places(frames, {"output": output, "plot": str(picture)})
    calibration = calibrate(list(source), seconds)
    make_parent(target)
    make_parent(picture)
    write_calibration(target, calibration)
    title = f"{source.name}: {source.n_frames} exposures, residual {calibration.residual:.3f} stops"
    write_png(picture, plot_curve(calibration.curve, title, calibration.covered))
    return CalibrationRun(calibration, target, picture)


def summary(run: CalibrationRun) -> str:
    """What was found, for a terminal."""
    found = run.calibration
    low, high = found.covered
    return "\n".join(
        (
            f"curve: {run.output} (use it with --crf {run.output})",
            f"plot: {run.plot}",
            f"{found.samples} places in {len(found.seconds)} frames, residual {found.residual:.3f} stops",
            f"codes {low:.2f} to {high:.2f} of 1 were seen well-exposed; beyond them the curve is extrapolated",
        )
    )
