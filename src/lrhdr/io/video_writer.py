"""SDR previews: H.264 in MP4, with the conversion to 4:2:0 done here and not by FFmpeg."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError, OutputError
from lrhdr.io.atomic import output_error, temporary_name
from lrhdr.io.yuv import downsample_chroma_left, quantise, rgb_to_yuv


class VideoWriter:
    """Write an SDR preview: H.264 (libx264), 4:2:0, 8 bits, limited range, tagged BT.709; complete or absent.

    The file has a temporary name until `close`. Used as a context manager it closes on success and aborts on an
    exception. Odd sizes are continued by one row or column of the same pixels, because 4:2:0 needs even ones.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: Fraction | float,
        size: tuple[int, int],
        *,
        crf: float = 18,
        preset: str = "medium",
    ) -> None:
        """Start a file.

        Args:
            path: the final name (MP4); its folder must exist.
            fps: frames per second.
            size: (height, width) of every frame.
            crf: libx264's constant rate factor, 0 lossless to 51; 18 is visually lossless by its authors' word.
            preset: libx264's preset, "ultrafast" to "veryslow".

        Raises:
            InputError: a frame rate or size that is not positive.
            OutputError: the file cannot be created.
        """
        rate = Fraction(fps).limit_denominator(60000)
        if rate <= 0 or min(size) < 1:
            raise InputError(f"video: expected a positive rate and size, found {fps} frames/s and {size}")
        self.path = Path(path)
        self.size = size
        self.n_frames = 0
        self._padding = (size[0] % 2, size[1] % 2)
        self._temporary = temporary_name(self.path)
        with self._failing():
            self._sink = _Sink(self._temporary)
            self._container: Any = av.open(self._sink, "w", format="mp4")
            self._stream: Any = self._container.add_stream("libx264", rate=rate)
            self._stream.height, self._stream.width = (
                side + odd for side, odd in zip(size, self._padding, strict=True)
            )
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": f"{crf:g}", "preset": preset}
            _tag_bt709(self._stream.codec_context)

    def write(self, image: NDArray[np.uint8] | NDArray[np.floating[Any]]) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) R'G'B', uint8 or float in [0, 1] (clipped), BT.709 primaries, display-encoded.

        Raises:
            InputError: another size or sample type.
            OutputError: the disk is full or the like; the file is then gone.
        """
        if image.shape != (*self.size, 3) or not (image.dtype == np.uint8 or np.issubdtype(image.dtype, np.floating)):
            expected = f"uint8 or float {(*self.size, 3)}"
            raise InputError(f"{self.path}: expected frames of {expected}, found {image.dtype} {image.shape}")
        rgb = image.astype(np.float32)
        rgb = rgb / np.float32(255) if image.dtype == np.uint8 else np.clip(rgb, 0, 1)
        rgb = np.pad(rgb, ((0, self._padding[0]), (0, self._padding[1]), (0, 0)), mode="edge")
        y, cb, cr = rgb_to_yuv(rgb, "bt709")
        flat = [quantise(y, bits=8, full_range=False, chroma=False).ravel()]
        for chroma in (cb, cr):
            flat.append(quantise(downsample_chroma_left(chroma), bits=8, full_range=False, chroma=True).ravel())
        planes: NDArray[Any] = np.concatenate(flat).reshape(rgb.shape[0] * 3 // 2, rgb.shape[1])
        frame: Any = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        _tag_bt709(frame)
        frame.pts = self.n_frames
        with self._failing():
            self._container.mux(self._stream.encode(frame))
            self._sink.check()
        self.n_frames += 1

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            InputError: no frame was written.
            OutputError: it cannot be finished; nothing is left behind.
        """
        if self.n_frames == 0:
            self.abort()
            raise InputError(f"{self.path}: a video needs at least one frame, found none")
        with self._failing():
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._sink.close()
            self._sink.check()
            self._temporary.replace(self.path)

    def abort(self) -> None:
        """Give up: remove what was written."""
        for attribute in ("_container", "_sink"):
            with suppress(Exception):  # on the way out of a failure: the first error is the one to report
                getattr(self, attribute).close()
        with suppress(OSError):
            self._temporary.unlink()

    def __enter__(self) -> VideoWriter:
        """Return the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, or abort when the body raised."""
        if kind is None:
            self.close()
        else:
            self.abort()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn a failure into an `OutputError` and remove the temporary file."""
        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self.abort()
            if isinstance(error, OSError):
                raise output_error(self.path, error) from error
            raise OutputError(f"cannot write {self.path}: {error}") from error


class _Sink:
    """A file for FFmpeg to write to, which keeps the first error instead of raising it.

    FFmpeg reports a failed write late or not at all, and PyAV prints exceptions that it cannot pass on.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._guarded(lambda: self._file.write(data))
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._guarded(lambda: self._file.seek(offset, whence))
        return self.tell()

    def tell(self) -> int:
        return self._guarded(self._file.tell)

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self._guarded(self._file.close)

    def check(self) -> None:
        """Raise the error that was kept."""
        if self.error is not None:
            raise self.error

    def _guarded(self, action: Callable[[], int | None]) -> int:
        if self.error is None:
            try:
                return action() or 0
            except OSError as error:
                self.error = error
        with suppress(OSError):
            self._file.close()
        return 0


def _tag_bt709(target: Any) -> None:
    """Set the colour tags of a codec context or frame to BT.709, limited range (H.273: 1, 1, 1; MPEG range: 1)."""
    target.color_primaries = target.color_trc = target.colorspace = 1
    target.color_range = 1
