"""The mean of two weights files of one configuration, for example before and after a training stage.

    python scripts/average_weights.py BEFORE AFTER -o OUT --share 0.5

Weights and running statistics are averaged number by number; the record is that of AFTER, which says so.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lrhdr.weights import load_pretrained, save_weights


def main() -> None:
    """Read two files, write their mean."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.5, help="of AFTER")
    parser.add_argument("--name", help="of the result (default: AFTER's)")
    options = parser.parse_args()
    before, _ = load_pretrained(options.before)
    after, record = load_pretrained(options.after)
    if before.config != after.config:
        raise SystemExit(f"{options.before}, {options.after}: expected weights of one configuration, found two")
    first, second = before.state_dict(), after.state_dict()
    mixed = {
        name: first[name].lerp(x, options.share) if x.is_floating_point() else x.clone() for name, x in second.items()
    }
    after.load_state_dict(mixed)
    note = {"averaged_with": options.before.name, "share": options.share}
    save_weights(
        options.output, after, replace(record, name=options.name or record.name, training={**record.training, **note})
    )


if __name__ == "__main__":
    main()
