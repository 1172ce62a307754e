"""How fast the package is, beside the yardstick, on this machine: one run, one JSON file, tables from it.

    python benchmarks/speed.py --json benchmarks/results/speed.json      # the committed table; needs a quiet machine
    python benchmarks/speed.py --quick                                   # two sizes, one repeat, nothing kept
    python benchmarks/speed.py --full --json FILE                        # all backends at all sizes: hours
    python benchmarks/speed.py --write benchmarks/results/speed.json     # no measuring: rewrite the tables of the docs

Which rows: `speed_plan.py`. Backend onnx needs the extra `onnx`, compile a C++ compiler; without them a line says so.

Method. Every row is a process of its own, bound to the cores it may use, that loads, runs once to warm up, and then
waits. The rows of one size, number of exposures and of cores (ours in each backend and quality, and the yardstick)
take turns, `--repeats` rounds, so that a busy moment hits all alike; medians are reported, with the extremes
in the JSON. Frames are blurred noise that moves 3 px per frame, alternating in exposure.

- On one core a frame is the interpolation and the network, after each other. On two cores it is the time of 4 frames by
  `Reconstructor(at_once=...)`, divided by 4. The yardstick on two cores is the better of one frame on both and two
  frames at once, one core each.
- The yardstick is a network of HDRFlow's layer sizes (`yardstick.py`), without reading, writing or any preparation of
  frames beyond its own; in float32, as published, in the faster of channels_last and planar. Where the processor
  multiplies bfloat16, which our convolutions use there, it is also timed under autocast to bfloat16.
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
import importlib.util
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
from speed_plan import BACKENDS, SIZES, EndToEnd, Group, Scope, end_to_end_runs, network_groups
from speed_tables import BEGIN, render, summary, write_tables

HERE = Path(__file__).parent


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


def network_rows(groups: list[Group], repeats: int) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for group in groups:
        base = {"size": list(group.size), "exposures": group.exposures, "cores": group.cores}
        rows = [
            Row(
                kind="ours",
                backend=backend,
                quality=quality,
                precision=precision,
                **({} if at_once is None else {"at_once": at_once}),
                **base,
            )
            for backend, quality, precision, at_once in group.rows
        ]
        layouts = faster_layouts(results, group)
        rows += [Row(kind="yardstick", layout=layout, precision="fp32", **base) for layout in layouts]
        if len(layouts) == 1 and bf16_is_fast():
            rows.append(Row(kind="yardstick", layout=layouts[0], precision="bf16", **base))
        for _ in range(repeats):
            for row in rows:
                row.run()
        results += [row.close() for row in rows]
        for result in results[-len(rows) :]:
            label = f"{result.get('layout') or result['backend'] + ' ' + result['quality']} {result['precision']}"
            seconds = result["values"]["frame"]["median"]
            size = "x".join(map(str, group.size))
            print(
                f"{size} {group.exposures} exp {group.cores} core(s) {result['kind']:9} {label:20} {seconds:.3f} s",
                flush=True,
            )
    return results


def faster_layouts(results: list[dict[str, Any]], group: Group) -> tuple[str, ...]:
    """The yardstick's layouts that are still to be measured: the faster one, once that is known."""
    known = {
        r["layout"]: r["values"]["frame"]["median"]
        for r in results
        if (r["kind"], r.get("precision")) == ("yardstick", "fp32")
        and (r["exposures"], r["cores"]) == (group.exposures, group.cores)
    }
    return (min(known, key=lambda layout: known[layout]),) if known and group.layouts else group.layouts


def end_to_end(run: EndToEnd) -> dict[str, Any]:
    """`lrhdr reconstruct`, PNG in, EXR out."""
    from lrhdr.exposure import ExposureSchedule
    from lrhdr.io.images import write_png

    n, cores, frames, quality = run.exposures, run.cores, run.frames, run.quality
    width, height = run.size
    schedule = ExposureSchedule.from_stops(stops(n))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "clip", Path(folder) / "out"
        source.mkdir()
        for i, frame in enumerate(clip(height, width, frames, schedule.relative)):
            write_png(source / f"frame.{i:04d}.png", frame)
        command = [sys.executable, "-m", "lrhdr", "reconstruct", str(source), "-o", str(target)]
        command += ["--stops", ",".join(f"{s:g}" for s in stops(n)), "--quality", quality, "--precision", run.precision]
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
    first = times[0] - started
    print(
        f"end to end {width}x{height} {n} exp {cores} core(s) {quality} {run.precision}: {each:.3f} s,"
        f" first {first:.2f} s",
        flush=True,
    )
    return {
        "size": list(run.size), "exposures": n, "cores": cores, "frames": frames, "quality": quality,
        "precision": run.precision, "seconds": each, "first": first, "total": total,
        "peak_gib": usage.ru_maxrss / 2**20,
    }  # fmt: skip


def clip_quality() -> dict[str, float]:
    """What "fast" and bfloat16 cost on the bundled clip, PSNR_T in dB over the frames that have a truth."""
    from lrhdr.backends import BackendChoice
    from lrhdr.demo import CLIP, load_truth, mean_psnr_mu
    from lrhdr.io.sources import open_frames
    from lrhdr.pipeline import Reconstructor
    from lrhdr.run_options import RunOptions, find_schedule

    source, truth = open_frames(CLIP), load_truth(CLIP / "truth")
    schedule = find_schedule(source, str(CLIP), RunOptions())
    skip = set(range(source.n_frames)) - set(truth)
    frames = {}
    ways = {
        "best": BackendChoice(), "fast": BackendChoice(quality="fast"), "fp32": BackendChoice(precision="fp32")
    }  # fmt: skip
    for name, choice in ways.items():
        tool = Reconstructor.from_pretrained(f"compact-{schedule.n_exposures}exp", backend=choice, at_once=1)
        frames[name] = {o.index: o.radiance for o in tool.reconstruct(source, schedule, skip=skip)}
    return {
        **{name: mean_psnr_mu(found, truth) for name, found in frames.items()},
        "between": mean_psnr_mu(frames["best"], frames["fp32"]), "frames": len(truth),
    }  # fmt: skip


def usable(backends: Any) -> list[str]:
    """Those that can run here; a line for each other."""
    from lrhdr.backends import find_compiler

    missing = {}
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
        missing["onnx"] = "the extra onnx is not installed"
    if find_compiler() is None:
        missing["compile"] = "found no C++ compiler"
    for name in backends:
        if name in missing:
            print(f"backend {name}: {missing[name]}, left out", flush=True)
    return [name for name in backends if name not in missing]


def bf16_is_fast() -> bool:
    from lrhdr.nn.precision import bf16_is_fast as asked

    return asked()


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
    parser.add_argument("--full", action="store_true", help="all rows at all sizes")
    parser.add_argument("--sizes", nargs="+", metavar="WxH", help="default: all four")
    parser.add_argument("--exposures", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--cores", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--repeats", type=int, help="default: 2, 1 with --quick, 3 with --full")
    parser.add_argument(
        "--frames", type=int, default=12, help="of an end-to-end clip; half and a third at larger sizes"
    )
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
    repeats = options.repeats or (1 if options.quick else 3 if options.full else 2)
    scope = Scope(
        sizes=sizes,
        exposures=options.exposures,
        cores=tuple(c for c in options.cores if c <= (os.cpu_count() or 1)),
        backends=usable(options.backends),
        frames=4 if options.quick else options.frames,
        full=options.full,
    )
    before, started = os.getloadavg(), time.time()
    result: dict[str, Any] = {"machine": machine(), "repeats": repeats, "quick": options.quick, "bf16": bf16_is_fast()}
    result["peak_gflops"] = peaks(repeats, tuple(scope.cores))
    result["rows"] = network_rows(network_groups(scope), repeats)
    result["end_to_end"] = [end_to_end(run) for run in end_to_end_runs(scope)]
    result["clip"] = clip_quality()
    result["load"] = {"before": before[0], "after": os.getloadavg()[0], "seconds": time.time() - started}
    print(render(result))
    print(summary(result))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
