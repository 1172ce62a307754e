"""The one way from frames to HDR frames: window, interpolate, pad, tile, run, undo. Streaming.

`Reconstructor` takes gamma-encoded LDR frames one by one and yields one linear HDR frame per input frame, the first and
the last included, holding no more frames than the windows in progress need. Command line, evaluation and demo all go
through it, so that a reported number is what a user gets; it holds the only pre- and post-processing of the package.
With `at_once`, frames are computed in threads beside each other and beside their decoding, bit for bit as one by one,
but for the first of a video (`OPENING_LANES`).

Input: (H, W, 3) numpy (uint8, uint16, float) or (3, H, W) torch, RGB, gamma-encoded (2.2). Output: linear radiance,
1.0 = saturation of the shortest exposure of the schedule, finite and >= 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lrhdr.allocator import give_back
from lrhdr.backends import BackendChoice, prepare
from lrhdr.checks import InputError, LrhdrError, check_tensor
from lrhdr.exposure import ExposureSchedule
from lrhdr.frames import Frame, composite_with_reference, frame_to_tensor
from lrhdr.interpolate import Interpolator, TunableInterpolator, complete_frames, complete_window, get_interpolator
from lrhdr.interpolate.flow import one_cv2_thread, set_cv2_threads
from lrhdr.interpolate.guided import align_window
from lrhdr.models import streaming
from lrhdr.models.lrhdr import LRHDR
from lrhdr.models.streaming import StreamingLRHDR
from lrhdr.noise import frame_noise, noise_level, window_noise
from lrhdr.radiometry import codes_to_float
from lrhdr.stabilise import stabilise_window
from lrhdr.tiling import check_tiles, pad_to_multiple, run_tiled
from lrhdr.transfers import DeviceCopies
from lrhdr.weights import load_pretrained
from lrhdr.workers import in_order

Method = Callable[..., Any]
"""(window (B, T, 3, H, W), interpolated (B, N_e - 1, 3, H, W), exposures (B, T)) to hdr (B, 3, H, W), or to a named
tuple with the fields `hdr`, `weights` and perhaps `candidates` (see `Fused`). A network whose configuration says
`aligned` also gets the neighbours aligned to the reference, (B, T - 1, 3, H, W). With `at_once`, several threads call
it at the same time."""

NETWORK = "lrhdr"
"""The name of the network among the methods that a user can choose."""

DEFAULT_INTERPOLATOR = "compact"
"""What methods without weights of their own use: the best completion of those that come with the package."""

MOST_THREADS = 1024
"""Chosen by us: PyTorch takes any number and dies of one that the machine cannot start."""

OPENING_LANES = 2
"""Lanes (`lrhdr.lanes`) in which the first frame of a video is computed, before frames are computed at once: who starts
a run waits for it. The number does not follow the cores, for the last bits of the result follow the number."""

OVERLAP = 64
"""Pixels that tiles share. Chosen by us: the compact network's convolutions see about as far."""


@dataclass(frozen=True, eq=False)
class HdrFrame:
    """One reconstructed frame.

    Attributes:
        index: 0-based position in the video.
        radiance: (H, W, 3) float32, linear RGB, 1.0 = saturation of the shortest exposure, finite, >= 0.
        exposure: relative exposure of the input frame at this position (shortest of the schedule = 1).
        weights: (K, H, W) float32, the share of each candidate, sums to 1 over K; None unless the method votes and the
            reconstructor keeps maps.
        window: the LDR frames that the method saw, (H, W, 3) float32 each, in time order, the reference in the middle;
            empty unless the reconstructor keeps maps.
        window_exposures: their relative exposures.
        window_indices: their positions in the video.
        candidates: (K, H, W, 3) float32, linear radiance, in the order of the weights; None where the weights are.
    """

    index: int
    radiance: NDArray[np.float32]
    exposure: float
    weights: NDArray[np.float32] | None = None
    window: tuple[NDArray[np.float32], ...] = ()
    window_exposures: tuple[float, ...] = ()
    window_indices: tuple[int, ...] = ()
    candidates: NDArray[np.float32] | None = None


class Fused(NamedTuple):
    """What a method makes of completed windows.

    Attributes:
        hdr: (B, 3, H, W), linear radiance, finite, >= 0.
        weights: (B, K, H, W), the share of each candidate; None where the method has none or they are not wanted.
        candidates: (B, K, 3, H, W), linear radiance, in the order of the weights; None where the method has none or
            they are not wanted.
    """

    hdr: Tensor
    weights: Tensor | None = None
    candidates: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Held:
    """An input frame that a window still needs: (3, H, W) on the device, maybe integers; (1,) its noise, or None."""

    index: int
    frame: Tensor
    noise: Tensor | None


@dataclass(frozen=True, eq=False)
class _Window:
    """What one output frame is made of: the frames in time order, their relative exposures, and its own."""

    index: int
    frames: tuple[_Held, ...]
    exposures: tuple[float, ...]
    exposure: float


class Reconstructor:
    """Frames in, HDR frames out.

    Args:
        method: an `LRHDR` network, or any function with the baselines' signature (see `Method`).
        interpolator: an interpolator, or the name of one.
        device: where to compute.
        tile: side of a tile in pixels, for frames that do not fit into memory; None runs whole frames. Tiles change
            the result slightly (see `lrhdr.tiling`).
        overlap: pixels that tiles share.
        threads: number of threads for PyTorch and OpenCV, for the whole process; None leaves them as they are. Two
            threads on a busy machine can be slower than one.
        keep_maps: also return the vote map and the window of each frame, or of the frames with these indices.
        composite: paste the linearised reference over its well-exposed pixels, as the field's test scripts do.
        stabilise_window: bring the frames of each window to its reference by one global motion each (`stabilise`),
            for hand-held clips.
        name: what to call the method in messages.
        backend: how to run the network, and at what pace to interpolate (see `lrhdr.backends`); None for its defaults.
            Other methods run as they are.
        at_once: frames computed at once, in as many threads, each with `threads` compute threads; frames are then
            taken from the source up to so many ahead. None computes in the caller's thread.
        notify: called with each line on the choices that a person should read.

    Raises:
        InputError: unknown interpolator, a device or backend that cannot be used, or tile options that do not fit the
            network.
    """

    def __init__(
        self,
        method: nn.Module | Method,
        interpolator: Interpolator | str = DEFAULT_INTERPOLATOR,
        *,
        device: str | torch.device = "cpu",
        tile: int | None = None,
        overlap: int = OVERLAP,
        threads: int | None = None,
        keep_maps: bool | Container[int] = False,
        composite: bool = False,
        stabilise_window: bool = False,
        name: str | None = None,
        backend: BackendChoice | None = None,
        at_once: int | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self.device = usable_device(device)
        self.interpolator = get_interpolator(interpolator) if isinstance(interpolator, str) else interpolator
        choice = backend or BackendChoice()
        half, convolves = choice.half(self.device), isinstance(method, LRHDR)
        if isinstance(self.interpolator, TunableInterpolator):
            self.interpolator = self.interpolator.tuned(fast=choice.quality == "fast", half=half)
            convolves = True
        self.precision = "bf16" if half and convolves else "fp32"
        self.name = name or getattr(method, "__name__", type(method).__name__)
        self.multiple: int = getattr(method, "MULTIPLE", 1)
        if isinstance(method, LRHDR):
            prepared = prepare(method.eval(), choice, self.device, threads or 1, notify)
            if tile is None:
                self.multiple = prepared.MULTIPLE
            method = prepared
            self._takes_maps = True
        else:
            if isinstance(method, nn.Module):
                # channels_last makes the convolutions 1.5 times faster on CPUs, at no cost in accuracy.
                method = method.to(device=self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
            self._takes_maps = False
        self.method: Method = method
        config = getattr(method, "config", None)
        self.n_exposures: int | None = getattr(config, "n_exposures", None)
        self.aligned: bool = getattr(config, "aligned", False)
        self.noise: bool = getattr(config, "noise", False)
        self.tile = tile
        self.overlap = overlap
        self.keep_maps = keep_maps
        self.composite = composite
        self.stabilise_window = stabilise_window
        # Frames may stay where and as they are, if nothing but the executor in strips looks at the window.
        plain = tile is None and not composite and not stabilise_window and not self.aligned
        self._lean = plain and isinstance(self.method, StreamingLRHDR)
        if tile is not None:
            check_tiles(tile, overlap, self.multiple)
        if at_once is not None and at_once < 1:
            raise InputError(f"at once: expected 1 frame or more, found {at_once}")
        self.at_once = at_once
        self.threads = threads
        self._copies = DeviceCopies(self.device)
        if threads is not None:
            set_threads(threads)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = "compact-2exp", interpolator: Interpolator | str | None = None, **options: Any
    ) -> Reconstructor:
        """Load a bundled model by name, or a `.safetensors` file.

        Args:
            name_or_path: what `lrhdr.load_pretrained` takes.
            interpolator: as in the class; None for the one that the weights were trained with.
            **options: the class's keywords.

        Raises:
            WeightsError: unknown name, or a missing or damaged file.
        """
        model, record = load_pretrained(name_or_path)
        return cls(model, interpolator or record.interpolator, **{"name": record.name, **options})

    @torch.inference_mode()
    def fuse(
        self,
        window: Tensor,
        interpolated: Tensor,
        exposures: Tensor,
        *,
        maps: bool = True,
        noise: Tensor | None = None,
    ) -> Fused:
        """Run the method on completed windows of any size: pad, tile, run, undo, composite.

        Args:
            window: (B, T, 3, H, W), LDR in [0, 1].
            interpolated: (B, N_e - 1, 3, H, W), LDR in [0, 1].
            exposures: (B, T), relative.
            maps: also return weights and candidates; without them the method may be faster.
            noise: (B,), noise level (`lrhdr.noise`); None estimates it from the window where the method wants it.

        Returns:
            Radiance, weights and candidates, of the window's size.

        Raises:
            InputError: wrong shapes.
            LrhdrError: the method returned NaN or infinity.
        """
        check_tensor(window, "window", ndim=5)
        check_tensor(interpolated, "interpolated", ndim=5)
        height, width = window.shape[-2:]
        inputs = [window, interpolated]
        if self.aligned:
            inputs.append(align_window(window, exposures))
        padded = tuple(pad_to_multiple(x, self.multiple) for x in inputs)
        known: dict[str, Any] = {}
        if self.noise:
            # Estimated once, before padding and tiling: tiles with another noise level would show their seams.
            known["noise"] = noise_level(window) if noise is None else noise
        if self._takes_maps:
            known["maps"] = maps

        def run(part: Tensor, part_interpolated: Tensor, *aligned: Tensor) -> Fused:
            extra = {"aligned": aligned[0]} if aligned else {}
            output = self.method(part, part_interpolated, exposures, **extra, **known)
            if isinstance(output, Tensor):
                return Fused(output)
            if not maps:
                return Fused(output.hdr)
            return Fused(output.hdr, output.weights, getattr(output, "candidates", None))

        if self.tile is None or max(padded[0].shape[-2:]) <= self.tile:
            outputs: Sequence[Tensor | None] = run(*padded)
        else:
            outputs = run_tiled(run, padded, tile=self.tile, overlap=self.overlap, multiple=self.multiple)
        hdr, weights, candidates = (None if x is None else x[..., :height, :width] for x in outputs)
        assert hdr is not None
        hdr = self._checked(hdr)
        if self.composite:
            hdr = composite_with_reference(hdr, window[:, window.shape[1] // 2], exposures)
        return Fused(hdr.clamp_min(0.0), weights, candidates)

    def _checked(self, hdr: Tensor) -> Tensor:
        if not all(torch.isfinite(x) for x in hdr.aminmax()):
            raise LrhdrError(f"{self.name}: returned NaN or infinite radiance")
        return hdr.float()

    @torch.inference_mode()
    def _in_place(self, frames: Sequence[Tensor], exposures: Tensor, noise: Tensor | None, *, maps: bool) -> Fused:
        """As `complete` and `fuse`, for a method that takes frames where they lie: nothing is copied."""
        # What a large frame's interpolation has freed goes before the executor needs as much, and the other way round.
        large = frames[0][0].numel() > streaming.KEEP_PIXELS
        completed = complete_frames(frames, exposures, self.interpolator, codes=large)
        if large:
            give_back()
        known = {} if noise is None else {"noise": noise}
        output = self.method(frames, completed, exposures, maps=maps, **known)
        if large:
            give_back()
        return Fused(self._checked(output.hdr).clamp_min_(0.0), output.weights, output.candidates)

    @torch.inference_mode()
    def complete(self, window: Tensor, exposures: Tensor) -> Tensor:
        """Interpolate the frames that are missing at the reference's time.

        Each pair of a window is interpolated once; no two windows of a video share a pair and fraction, so there is
        nothing to keep from one window to the next.

        Args:
            window: (B, T, 3, H, W), LDR in [0, 1].
            exposures: (B, T), relative.

        Returns:
            (B, N_e - 1, 3, H, W), LDR in [0, 1].
        """
        completed: Tensor = complete_window(window, exposures, self.interpolator)
        return completed

    def check_schedule(self, schedule: ExposureSchedule) -> None:
        """Refuse a schedule that the method was not made for.

        Raises:
            InputError: the numbers of exposures differ.
        """
        if self.n_exposures is not None and self.n_exposures != schedule.n_exposures:
            raise InputError(
                f"{self.name}: made for {self.n_exposures} exposures, but the schedule has {schedule.n_exposures} "
                f"({', '.join(f'{e:g}' for e in schedule.relative)})"
            )

    def reconstruct(
        self, frames: Iterable[Frame], schedule: ExposureSchedule, *, skip: Container[int] = (), first: int = 0
    ) -> Iterator[HdrFrame]:
        """Reconstruct a video, frame by frame.

        Frames are taken from the iterable only when a window needs them, each is converted once, and frames that no
        later window needs are dropped: at most 2 N_e - 1 are held, and `at_once` + 1 more where frames are computed at
        once. The number of frames need not be known.

        Args:
            frames: the video's frames in order, all of one size (see the module's docstring).
            schedule: which exposure each frame has.
            skip: indices for which nothing is computed or yielded (already done).
            first: index of the first frame that `frames` gives, for a part of a video. If it is not 0, the first
                N_e - 1 frames serve as neighbours only and are not reconstructed.

        Yields:
            One `HdrFrame` per input frame that is not in `skip`, in order.

        Raises:
            InputError: a frame cannot be used (named by its index), sizes differ, fewer frames than exposures, or the
                model was made for another number of exposures. Frames yielded before are good.
        """
        self.check_schedule(schedule)
        windows = self._windows(frames, schedule, skip, first)
        if self.at_once is None:
            for window in windows:
                yield self._reconstruct_one(*window)
            return
        threads = self.threads
        start = None if threads is None else partial(torch.set_num_threads, threads)  # threads have counts of their own
        head = next(windows, None) if self._lean else None
        if head is not None and head[0].index == 0:
            lanes = max(OPENING_LANES, threads or 1)
            yield from in_order(self._reconstruct_beside, [head], 1, partial(torch.set_num_threads, lanes))
        elif head is not None:
            windows = chain((head,), windows)
        yield from in_order(self._reconstruct_beside, windows, self.at_once, start)

    def _windows(
        self, frames: Iterable[Frame], schedule: ExposureSchedule, skip: Container[int], first: int
    ) -> Iterator[tuple[_Window]]:
        """The windows of the wanted frames, each as the arguments of `_reconstruct_one`."""
        n = schedule.n_exposures
        source = enumerate(frames, first)
        held: deque[_Held] = deque()
        count, ended, index = first, False, first + (n - 1 if first else 0)
        while not ended or index < count:
            # The window of frame i reaches to frame i + N_e - 1; at the first frame too, since a missing neighbour
            # is replaced by one from within the first period.
            while not ended and count < index + n:
                item = next(source, None)
                if item is None:
                    ended = True
                    schedule.check_length(count)
                    break
                held.append(self._admit(item[1], count, held))
                count += 1
            if index >= count:
                break
            if index not in skip:
                by_index = {h.index: h for h in held}
                members = tuple(by_index[i] for i in schedule.window(index, count))
                yield (_Window(index, members, schedule.window_exposures(index), schedule.exposure(index)),)
            index += 1
            # Windows of the last frames reach back to a whole period before the end, not further.
            while held and held[0].index < index - (n - 1):
                held.popleft()

    @torch.inference_mode()
    def _admit(self, frame: Frame, index: int, held: deque[_Held]) -> _Held:
        """Convert an incoming frame, after checking that its size is that of the others; measure its noise, once."""
        x = frame_to_tensor(frame, index, keep_codes=self._lean)
        if held and held[-1].frame.shape != x.shape:
            found, expected = ("x".join(str(s) for s in reversed(t.shape[1:])) for t in (x, held[-1].frame))
            raise InputError(f"frame {index}: found {found} pixels, expected {expected} like the frames before it")
        noise = frame_noise(x[None]) if self.noise and not self.stabilise_window else None
        return _Held(index, self._copies.upload(x), noise)

    def _reconstruct_beside(self, window_of: _Window) -> HdrFrame:
        """As `_reconstruct_one`, in one of several threads: OpenCV's own would not fit beside them."""
        with one_cv2_thread():
            return self._reconstruct_one(window_of)

    def _reconstruct_one(self, window_of: _Window) -> HdrFrame:
        """Run the window of one frame."""
        index, relative = window_of.index, window_of.exposures
        self._copies.arrived()
        frames = [h.frame for h in window_of.frames]
        exposures = torch.tensor([relative], dtype=torch.float32, device=self.device)
        noise = None
        if window_of.frames[0].noise is not None:
            noise = window_noise(torch.stack([h.noise for h in window_of.frames if h.noise is not None], dim=1))
            noise = noise.to(self.device)
        keep = self.keep_maps if isinstance(self.keep_maps, bool) else index in self.keep_maps
        try:
            if self._lean:
                fused = self._in_place(frames, exposures, noise, maps=keep)
            else:
                window = torch.stack(frames)[None]
                if self.stabilise_window:
                    window = stabilise_window(window, exposures)
                    frames = list(window[0])
                completed = self.complete(window, exposures)
                fused = self.fuse(window, completed, exposures, maps=keep, noise=noise)
        except LrhdrError as error:
            raise type(error)(f"frame {index}: {error}") from error
        maps: dict[str, Any] = {}
        if keep:
            weights, candidates = fused.weights, fused.candidates
            maps = {
                "weights": None if weights is None else weights[0].float().cpu().numpy(),
                "window": tuple(codes_to_float(x).permute(1, 2, 0).cpu().numpy() for x in frames),
                "window_exposures": relative,
                "window_indices": tuple(h.index for h in window_of.frames),
                "candidates": None if candidates is None else candidates[0].float().permute(0, 2, 3, 1).cpu().numpy(),
            }
        radiance = np.ascontiguousarray(self._copies.download(fused.hdr[0]).permute(1, 2, 0).numpy())
        return HdrFrame(index, radiance, window_of.exposure, **maps)


def usable_device(device: str | torch.device) -> torch.device:
    """The device, after making sure that it works here.

    Raises:
        InputError: it does not.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device: {device} cannot be used here ({str(error).splitlines()[0]})") from error


def set_threads(threads: int) -> None:
    """Set the thread counts of PyTorch and OpenCV for this process.

    Raises:
        InputError: fewer than one, or more than `MOST_THREADS`.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads: expected 1 or more, up to {MOST_THREADS}, found {threads}")
    torch.set_num_threads(threads)
    set_cv2_threads(threads)
