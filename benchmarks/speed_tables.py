"""Tables and sentences from a result of `speed.py`, for the docs: between two marks in a file, nothing by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- speed:{} -->", "<!-- /speed:{} -->"
"""Marks of a block in a Markdown file; the name is that of one of `BLOCKS`."""

FILES = ("docs/speed.md", "README.md")


def _median(row: dict[str, Any], key: str = "frame") -> float:
    return float(row["values"][key]["median"])


def _same(row: dict[str, Any], like: dict[str, Any]) -> bool:
    return all(row[key] == like[key] for key in ("size", "exposures", "cores"))


def _head(*titles: str) -> list[str]:
    return ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]


def _cores(count: int) -> str:
    return f"{count} core{'s' if count > 1 else ''}"


def best_yardstick(result: dict[str, Any], like: dict[str, Any], precision: str = "fp32") -> dict[str, Any] | None:
    """The yardstick's row of the same size, exposures and cores, in its faster layout; None where it was not run."""
    rows = [r for r in result["rows"] if (r["kind"], r["precision"]) == ("yardstick", precision) and _same(r, like)]
    return min(rows, key=_median, default=None)


def _ours(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [r for r in result["rows"] if r["kind"] == "ours"]


def render(result: dict[str, Any]) -> str:
    """The table of networks: one line per size, exposures, cores and backend."""
    lines = _head(
        "frame", "exposures", "cores", "backend", "s/frame", "frames/s", "GMAC", "GFLOP/s", "of peak", "peak GiB",
        "yardstick s", "ours / yardstick",
    )  # fmt: skip
    counted = {}
    for r in _ours(result):
        if "interpolation_gmac" in r:
            counted[tuple(r["size"]), r["exposures"]] = r["interpolation_gmac"]
    for r in _ours(result):
        seconds = _median(r)
        gmac = r["network_gmac"] + counted.get((tuple(r["size"]), r["exposures"]), 0.0)
        rate = 2.0 * gmac / seconds
        share = rate / result["peak_gflops"][str(r["cores"])]["best"]
        other = best_yardstick(result, r)
        beside = ["–", "–"] if other is None else [f"{_median(other):.2f}", f"{seconds / _median(other):.2f}"]
        name = r["backend"] + (", fast" if r["quality"] == "fast" else "")
        name += ", float32" if r["precision"] == "fp32" else ""
        name += ", one frame at a time" if r["cores"] > 1 and r.get("at_once") == 1 else ""
        cells = [
            "x".join(map(str, r["size"])), r["exposures"], r["cores"], name, f"{seconds:.2f}", f"{1 / seconds:.2f}",
            f"{gmac:.1f}", f"{rate:.0f}", f"{100 * share:.0f} %", f"{r['peak_gib']:.2f}", *beside,
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def render_end_to_end(result: dict[str, Any]) -> str:
    """The table of `lrhdr reconstruct`."""
    lines = _head(
        "frame", "exposures", "cores", "quality", "s/frame", "first frame after, s", "peak GiB",
        "yardstick's network alone, s", "ours / yardstick",
    )  # fmt: skip
    for r in result["end_to_end"]:
        other = best_yardstick(result, r)
        beside = ["–", "–"] if other is None else [f"{_median(other):.2f}", f"{r['seconds'] / _median(other):.2f}"]
        quality = r["quality"] + (", float32" if r["precision"] == "fp32" else "")
        cells = [
            "x".join(map(str, r["size"])), r["exposures"], r["cores"], quality, f"{r['seconds']:.2f}",
            f"{r['first']:.1f}", f"{r['peak_gib']:.2f}", *beside,
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _end(
    result: dict[str, Any], size: list[int], n: int, cores: int, quality: str = "best", precision: str = "auto"
) -> dict[str, Any] | None:
    for r in result["end_to_end"]:
        found = r["size"], r["exposures"], r["cores"], r["quality"], r["precision"]
        if found == (size, n, cores, quality, precision):
            return dict(r)
    return None


def summary(result: dict[str, Any]) -> str:
    """The targets, and what was reached, as a list."""
    lines = []
    hd, uhd, small = [1280, 720], [3840, 2160], [640, 360]
    for n in (2, 3):
        for cores in (1, 2):
            r, short = (_end(result, hd, n, cores, quality) for quality in ("best", "fast"))
            other = None if r is None else best_yardstick(result, r)
            if r and other:
                ratio = r["seconds"] / _median(other)
                less = f"; fast {short['seconds']:.2f} s, {short['seconds'] / _median(other):.2f}" if short else ""
                plain, half = _end(result, hd, n, cores, precision="fp32"), best_yardstick(result, r, "bf16")
                less += f"; float32 {plain['seconds']:.2f} s" if plain else ""
                less += f"; the yardstick in bfloat16 {_median(half):.2f} s" if half else ""
                lines.append(
                    f"- 1280x720, {n} exposures, {_cores(cores)}, end to end: {r['seconds']:.2f} s,"
                    f" {ratio:.2f} of the yardstick's {_median(other):.2f} s (target: at most 0.50){less}"
                )
        one, two = _end(result, hd, n, 1), _end(result, hd, n, 2)
        if one and two:
            gain = one["seconds"] / two["seconds"]
            lines.append(f"- two cores against one, {n} exposures: {gain:.2f} times (target: at least 1.80)")
    first = _end(result, hd, 2, 2)
    if first:
        lines.append(f"- start to first frame, 1280x720, two cores: {first['first']:.1f} s (target: under 4)")
    for n in (2, 3):
        for cores in (1, 2):
            a, b = _end(result, small, n, cores), _end(result, uhd, n, cores)
            if b:
                lines.append(
                    f"- 3840x2160, {n} exposures, {_cores(cores)}: peak memory"
                    f" {b['peak_gib'] * 1.073741824:.2f} GB (target: under 2.5)"
                )
            if a and b:
                growth = b["seconds"] / a["seconds"] / 36.0
                lines.append(
                    f"- 3840x2160 against 640x360, {n} exposures, {_cores(cores)}:"
                    f" {growth:.2f} times the time per pixel (target: 0.85 to 1.15)"
                )
    return "\n".join(lines)


def about(result: dict[str, Any]) -> str:
    """Where and how it was measured."""
    m, load = result["machine"], result["load"]
    peak = result["peak_gflops"]
    fastest = "; ".join(
        f"{_cores(int(cores))}: matrix product {p['matmul']:.0f}, convolution {p['conv']:.0f}"
        for cores, p in peak.items()
    )
    return (
        f"Measured on {m['processor']} ({m['capability']}), {_cores(m['cores'])}, Python {m['python']},"
        f" PyTorch {m['torch']}, lrhdr {m['lrhdr']}; rounds: {result['repeats']}; load average"
        f" {load['before']:.1f} before, {load['after']:.1f} after. Peak in GFLOP/s, {fastest}."
    )


def cost_line(result: dict[str, Any]) -> str:
    """A paragraph for the README."""
    size, parts = [1280, 720], []
    for n in (2, 3):
        one, two = _end(result, size, n, 1), _end(result, size, n, 2)
        other = None if one is None else best_yardstick(result, one)
        if one and two and other:
            short = [_end(result, size, n, cores, "fast") for cores in (1, 2)]
            less = " and ".join(f"{r['seconds']:.2f} s" for r in short if r)
            half = best_yardstick(result, one, "bf16")
            yard = f"{_median(other):.2f} s on one" + (f", {_median(half):.2f} s in bfloat16" if half else "")
            parts.append(
                f"{n} exposures: {one['seconds']:.2f} s per frame on one core, {two['seconds']:.2f} s on two"
                f"{f', with `--quality fast` {less}' if less else ''}"
                f" (HDRFlow's layers alone: {yard})"
            )
    large = _end(result, [3840, 2160], 2, 2) or _end(result, [3840, 2160], 2, 1)
    tail = f" 3840x2160 takes {large['seconds']:.1f} s and {large['peak_gib']:.1f} GiB." if large else ""
    return f"`lrhdr reconstruct` at 1280x720, PNG in and EXR out. {'; '.join(parts)}.{tail}"


def fast(result: dict[str, Any]) -> str:
    """What quality "fast" costs."""
    f = result.get("clip")
    if f is None:
        return "Not measured."
    how = "multiplies bfloat16" if result["bf16"] else "does not multiply bfloat16"
    return (
        f"This processor {how}. On the bundled clip ({f['frames']} frames with truth) best reaches {f['best']:.2f} dB"
        f" PSNR_T, fast {f['fast']:.2f} dB and best in float32 {f['fp32']:.2f} dB"
        + (f"; between best and best in float32 are {f['between']:.1f} dB." if result["bf16"] else ".")
    )


BLOCKS = {
    "fast": fast,
    "about": about,
    "table": render,
    "end-to-end": render_end_to_end,
    "summary": summary,
    "cost": cost_line,
}


def fill(text: str, result: dict[str, Any]) -> str:
    """Text with every marked block made anew."""
    for name, make in BLOCKS.items():
        begin, end = BEGIN.format(name), END.format(name)
        pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(end), re.DOTALL)
        block = f"{begin}\n{make(result)}\n{end}"
        text = pattern.sub(lambda _match, block=block: block, text)
    return text


def write_tables(result: dict[str, Any], root: Path) -> list[Path]:
    """Rewrite the marked blocks of the docs; gives the files that have any."""
    changed = []
    for name in FILES:
        path = root / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if re.search(r"<!-- speed:[\w-]+ -->", text):
            path.write_text(fill(text, result), encoding="utf-8")
            changed.append(path)
    return changed
