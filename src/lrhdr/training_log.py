"""What a training run writes down: `log.csv`, and a TensorBoard log where that package is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrhdr.io.atomic import write_bytes

COLUMNS = ("step", "minutes", "lr", "loss", "recon", "accr", "vote", "val_psnr", "val_reference", "val_oracle")


class TrainingLog:
    """Rows of numbers by step; a context manager.

    On resume, rows after the checkpoint's step are dropped, since they will be written again.

    Args:
        folder: of the run.
        step: steps done so far.
        tensorboard: write that log too, if it can be imported.

    Attributes:
        tensorboard: whether it is written.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool) -> None:
        path = folder / "log.csv"
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(_rows_until(path, step))
        write_bytes(path, text.getvalue().encode())
        self._file = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, COLUMNS, restval="", extrasaction="ignore")
        self._board = _open_board(folder / "tensorboard", step) if tensorboard else None
        self.tensorboard = self._board is not None

    def __enter__(self) -> TrainingLog:
        """Return the log itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row; keys are `COLUMNS`, missing ones stay empty."""
        self._writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
        self._file.flush()
        if self._board is not None:
            for key, value in row.items():
                if key not in ("step", "minutes"):
                    name = f"validation/{key.removeprefix('val_')}" if key.startswith("val_") else f"train/{key}"
                    self._board.add_scalar(name, value, row["step"])


def _rows_until(path: Path, step: int) -> list[dict[str, str]]:
    """The rows of an earlier log up to a step; a line that a crash cut off is left out."""
    if not step or not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values() and row["step"].isdigit()]
    return [row for row in rows if int(row["step"]) <= step]


def _open_board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
