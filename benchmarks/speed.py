"""How fast the package is, beside the yardstick, on this machine: one run, one JSON file, tables from it.

    python benchmarks/speed.py --json benchmarks/results/speed.json      # everything; needs a quiet machine
    python benchmarks/speed.py --quick                                   # two sizes, one repeat, nothing kept
    python benchmarks/speed.py --write benchmarks/results/speed.json     # no measuring: rewrite the tables of the docs

Method. Every row is a process of its own, bound to the cores it may use, that loads, runs once to warm up, and then
waits. The rows of one size and number of exposures (ours in each backend and quality, the yardstick in both memory
layouts) take turns, `--repeats` rounds, so that a busy moment hits all alike; medians are reported, with the extremes
in the JSON. Frames are blurred noise that moves 3 px per frame, alternating in exposure.

- On one core a frame is the interpolation and the network, after each other. On two cores it is the time of 4 frames by
  `Reconstructor(at_once=...)`, divided by 4. The yardstick on two cores is the better of one frame on both and two
  frames at once, one core each.
- The yardstick is a network of HDRFlow's layer sizes (`yardstick.py`), without reading, writing or any preparation of
  frames beyond its own; in the faster of channels_last and planar.
- Multiply-adds are counted, for our network by `lrhdr.cost` and for the interpolator's by PyTorch's counter; optical
  flow, warps, radiometry and the vote are not in them, their time is. GFLOP/s is twice the multiply-adds over the time.
- The peak is the best of a 2048 x 2048 matrix product and of a 3x3 convolution of 128 channels at 256x256, because
  either library behind them may be the poorer one on a machine (here: MKL's product on AMD).
- End to end is `lrhdr reconstruct` from 8-bit PNG to half-float ZIP EXR, everything at its defaults, in a process bound
  to 1 or 2 cores. Seconds per frame are those between the EXR files of the run after its start; "first" is from the
  start of the process to the first file; peak memory is the process's.

Load averages before and after stand in the JSON: a run on a busy machine shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from speed_child import clip, stops
from speed_tables import BEGIN, render, summary, write_tables

HERE = Path(__file__).parent
SIZES = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
VARIANTS = (("torch", "best"), ("torch", "fast"), ("onnx", "best"), ("compile", "best"), ("plain", "best"))
"""Backends and qualities; "plain" is the network layer by layer over whole maps, for comparison only."""
LAYOUTS = ("channels_last", "planar")
LARGE = 1920 * 1080
"""Pixels above which only backend torch is measured: the others and the yardstick hold whole full-resolution maps."""


class Row:
    """A running child."""

    def __init__(self, **row: Any) -> None:
        self.row = row
        self.runs: list[dict[str, float]] = []
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "speed_child.py"), json.dumps(row)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(row["cores"]),
        )  # fmt: skip
        self.about = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"speed: the row {self.row} ended (exit status {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self) -> None:
        """Measure once."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.runs.append(self._answer())

    def close(self) -> dict[str, Any]:
        """The row's result."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        last = self._answer()
        self._process.wait()
        values = {
            key: {f.__name__: f([r[key] for r in self.runs]) for f in (statistics.median, min, max)}
            for key in self.runs[0]
        }
        return {**self.about, **self.row, **last, "values": values}


def _environment(cores: int) -> dict[str, str]:
    # Each row sets its threads itself; a limit from outside would hold them back.
    return {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


def peaks(repeats: int, cores: tuple[int, ...]) -> dict[str, Any]:
    """GFLOP/s by number of cores: of each kind of arithmetic, and the best of them."""
    found = {}
    for count in cores:
        row = Row(kind="peak", cores=count)
        for _ in range(3 * repeats):
            row.run()
        values = row.close()["values"]
        best = {name: values[name]["max"] for name in values}
        found[str(count)] = {**best, "best": max(best.values())}
    return found


def network_rows(sizes: Any, exposures: Any, cores: Any, variants: Any, repeats: int) -> list[dict[str, Any]]:
    results = []
    for size in sizes:
        large = size[0] * size[1] > LARGE
        for n in exposures:
            for count in cores:
                base = {"size": list(size), "exposures": n, "cores": count}
                wanted = [v for v in variants if not large or v[0] == "torch"]
                rows = [Row(kind="ours", backend=b, quality=q, **base) for b, q in wanted]
                if count > 1 and not large:  # what frames at once gain over threads that share a frame
                    rows.append(Row(kind="ours", backend="torch", quality="best", at_once=1, **base))
                rows += [Row(kind="yardstick", layout=layout, **base) for layout in (() if large else LAYOUTS)]
                for _ in range(repeats):
                    for row in rows:
                        row.run()
                results += [row.close() for row in rows]
                for result in results[-len(rows) :]:
                    label = result.get("layout") or f"{result['backend']} {result['quality']}"
                    seconds = result["values"]["frame"]["median"]
                    print(f"{size[0]}x{size[1]} {n} exp {count} core(s) {result['kind']:9} {label:14} {seconds:.3f} s")
    return results


def end_to_end(size: tuple[int, int], n: int, cores: int, frames: int, quality: str) -> dict[str, Any]:
    """`lrhdr reconstruct`, PNG in, EXR out."""
    from lrhdr.exposure import ExposureSchedule
    from lrhdr.io.images import write_png

    width, height = size
    schedule = ExposureSchedule.from_stops(stops(n))
    frames = -(-frames // cores) * cores
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "clip", Path(folder) / "out"
        source.mkdir()
        for i, frame in enumerate(clip(height, width, frames, schedule.relative)):
            write_png(source / f"frame.{i:04d}.png", frame)
        command = [sys.executable, "-m", "lrhdr", "reconstruct", str(source), "-o", str(target)]
        command += ["--stops", ",".join(f"{s:g}" for s in stops(n)), "--quality", quality]
        code = (
            "import os, sys; hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, "
            f"sorted(os.sched_getaffinity(0))[:{cores}]); os.execv(sys.argv[1], sys.argv[1:])"
        )
        started = time.time()
        process = subprocess.Popen(
            [sys.executable, "-c", code, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=_environment(cores),
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        total = time.time() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"speed: {' '.join(command)} ended with status {process.returncode}")
        times = sorted(path.stat().st_mtime for path in target.glob("*.exr"))
    # Frames come in groups of as many as there are cores; from the last of the first group to the last of all.
    each = (times[-1] - times[cores - 1]) / (len(times) - cores)
    print(
        f"end to end {width}x{height} {n} exp {cores} core(s) {quality}: {each:.3f} s, first {times[0] - started:.2f} s"
    )
    return {
        "size": list(size), "exposures": n, "cores": cores, "frames": frames, "quality": quality,
        "seconds": each, "first": times[0] - started, "total": total, "peak_gib": usage.ru_maxrss / 2**20,
    }  # fmt: skip


def fast_quality() -> dict[str, float]:
    """What quality "fast" costs on the bundled clip, PSNR_T in dB over the frames that have a truth."""
    from lrhdr.backends import BackendChoice
    from lrhdr.demo import CLIP, load_truth, mean_psnr_mu
    from lrhdr.io.sources import open_frames
    from lrhdr.pipeline import Reconstructor
    from lrhdr.run_options import RunOptions, find_schedule

    source, truth = open_frames(CLIP), load_truth(CLIP / "truth")
    schedule = find_schedule(source, str(CLIP), RunOptions())
    skip = set(range(source.n_frames)) - set(truth)
    frames = {}
    for quality in ("best", "fast"):
        choice = BackendChoice("torch", quality)
        tool = Reconstructor.from_pretrained(f"compact-{schedule.n_exposures}exp", backend=choice, at_once=1)
        frames[quality] = {o.index: o.radiance for o in tool.reconstruct(source, schedule, skip=skip)}
    return {
        "best": mean_psnr_mu(frames["best"], truth), "fast": mean_psnr_mu(frames["fast"], truth),
        "between": mean_psnr_mu(frames["fast"], frames["best"]), "frames": len(truth),
    }  # fmt: skip


def machine() -> dict[str, Any]:
    import torch

    from lrhdr import __version__

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "processor": name, "capability": capability, "cores": os.cpu_count(),
        "python": platform.python_version(), "torch": torch.__version__, "lrhdr": __version__,
    }  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two sizes, one repeat, short clips")
    parser.add_argument("--sizes", nargs="+", metavar="WxH", help="default: all four")
    parser.add_argument("--exposures", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--cores", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--backends", nargs="+", default=["torch", "onnx", "plain"], help="torch, onnx, compile, plain")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--frames", type=int, default=12, help="of an end-to-end clip (a third of it at 3840x2160)")
    parser.add_argument("--json", type=Path, help="keep the result")
    parser.add_argument("--write", type=Path, metavar="JSON", help="only rewrite the tables of the docs from a result")
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.write:
        changed = write_tables(json.loads(options.write.read_text(encoding="utf-8")), HERE.parent)
        print("\n".join(f"wrote {path}" for path in changed) or f"no file holds {BEGIN}")
        return
    sizes = SIZES[:2] if options.quick else SIZES
    if options.sizes:
        sizes = tuple((int(w), int(h)) for w, h in (s.split("x") for s in options.sizes))
    repeats = options.repeats or (1 if options.quick else 3)
    cores = tuple(c for c in options.cores if c <= (os.cpu_count() or 1))
    variants = [v for v in VARIANTS if v[0] in options.backends]
    before, started = os.getloadavg(), time.time()
    result: dict[str, Any] = {"machine": machine(), "repeats": repeats, "quick": options.quick}
    result["peak_gflops"] = peaks(repeats, cores)
    result["rows"] = network_rows(sizes, options.exposures, cores, variants, repeats)
    result["end_to_end"] = [
        end_to_end(
            size, n, count, max(4, options.frames // (3 if size[0] * size[1] > LARGE or options.quick else 1)), q
        )
        for size in sizes
        for n in options.exposures
        for count in cores
        for q in ("best", "fast")
        if q == "best" or size == (1280, 720)
    ]
    result["fast"] = fast_quality()
    result["load"] = {"before": before[0], "after": os.getloadavg()[0], "seconds": time.time() - started}
    print(render(result))
    print(summary(result))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
