"""The ablation's results as Markdown: means over seeds, their spread, and paired differences to the full method."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from lrhdr.ablation_rows import ROWS


def table(values: dict[str, Any]) -> str:
    """Write the tables.

    Args:
        values: what `lrhdr.ablation` stores as JSON: "runs", "baselines", "held_out", "margin", "base".

    Returns:
        Markdown: one table for the held-out samples, one per external set and alternation.
    """
    runs: list[dict[str, Any]] = values["runs"]
    base = values["base"]
    seeds = sorted({run["seed"] for run in runs})
    lines = [
        f"{base['steps']} steps, batch {base['batch']}, crop {base['crop']}, seeds {', '.join(map(str, seeds))}; "
        f"{values['held_out']} held-out samples, a border of {values['margin']} px not scored. "
        "Mean over seeds ± half the range between them; difference to `full` of the same seed, in dB.",
        "",
        _line(["row", "", "PSNR_T", "to full", "SSIM_T", "oracle", "in use", "parameters", "GMAC at 720p", "minutes"]),
        _line(["---", "---"] + ["---:"] * 8),
    ]
    full = {run["seed"]: statistics.fmean(run["samples"]["psnr_t"]) for run in runs if run["row"] == "full"}
    for name in ROWS:
        mine = [run for run in runs if run["row"] == name]
        if not mine:
            continue
        means = {key: [statistics.fmean(run["samples"][key]) for run in mine] for key in mine[0]["samples"]}
        to_full = [m - full[run["seed"]] for m, run in zip(means["psnr_t"], mine, strict=True) if run["seed"] in full]
        cells = [f"`{name}`", ROWS[name].title, spread(means["psnr_t"], 2)]
        cells.append(spread(to_full, 2, sign=True) if to_full and name != "full" else "")
        cells += [spread(means["ssim_t"], 4), spread(means["oracle"], 2), spread(means["in_use"], 2)]
        cells += [f"{mine[0]['parameters']:,}", f"{mine[0]['gmac']:.1f}"]
        cells.append(f"{statistics.fmean(run['minutes'] for run in mine):.1f}")
        lines.append(_line(cells))
    for name, scores in values["baselines"].items():
        lines.append(_line([name, "not trained", f"{scores['psnr_t']:.2f}", "", f"{scores['ssim_t']:.4f}", *[""] * 5]))
    return "\n".join([*lines, "", *_external(runs)])


def _external(runs: Sequence[dict[str, Any]]) -> list[str]:
    """One column per set and alternation."""
    scored = [run for run in runs if run.get("external")]
    if not scored:
        return []
    columns = list(dict.fromkeys((r["group"], tuple(r["stops"])) for run in scored for r in run["external"]))
    heads = [f"{group}, stops {', '.join(f'{s:g}' for s in stops)}" for group, stops in columns]
    lines = [f"PSNR_T on the evaluation sets: {scored[0]['external_settings']['data']}.", ""]
    lines += [_line(["row", *heads]), _line(["---"] + ["---:"] * len(heads))]
    for name in ROWS:
        mine = [run for run in scored if run["row"] == name]
        cells = []
        for group, stops in columns:
            found = [
                float(r["psnr_t_all"])
                for run in mine
                for r in run["external"]
                if (r["group"], tuple(r["stops"])) == (group, stops)
            ]
            cells.append(spread(found, 2))
        if mine:
            lines.append(_line([f"`{name}`", *cells]))
    return [*lines, ""]


def spread(values: Sequence[float], digits: int, *, sign: bool = False) -> str:
    """Mean and half the range: "41.20 ± 0.05"; the number alone where there is one, "" where there is none."""
    if not values:
        return ""
    mean = f"{statistics.fmean(values):{'+' if sign else ''}.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2.0:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
