"""How fast random windows come, as a share of a copy of the same bytes from memory; all in one run.

    python benchmarks/windows.py [--quick] [--out FILE.json] [--only shares growth large planning training]

A window is 106 kB: acceleration 4000 x 3 int16, video 20 x 64 x 64 uint8, temperature 8 float32. The
reference is np.take from arrays in memory into a batch that is there. All variants take turns in every
repeat, and medians are told, so that what else the computer does falls on all alike. Everything is in the
page cache: a cold disk is slower by what the disk is. `training` needs the data of SENSORKD_DATA and is left
out without.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from window_parts.growth import growth
from window_parts.large import large
from window_parts.planning import planning
from window_parts.shares import shares
from window_parts.training import training

PARTS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {
    "shares": shares,
    "growth": growth,
    "large": large,
    "planning": planning,
    "training": training,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small: only whether it runs")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    result: dict[str, Any] = {"quick": options.quick}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            place = Path(folder) / name
            place.mkdir()
            result[name] = PARTS[name](place, options.quick)
            if options.out is not None:
                options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
