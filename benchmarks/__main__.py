"""`make bench`: every measurement, side by side in one run, as ratios; times of a shared machine mean nothing."""

import importlib
import sys
from pathlib import Path

PARTS = (
    "api_sink",
    "commands",
    "deploy",
    "fault",
    "file",
    "kafka",
    "pipe_sink",
    "postgres",
    "rabbitmq",
    "store",
    "update",
)


def main() -> int:
    """Measure the parts named on the command line (default: all) and print one table."""
    sys.path.insert(0, str(Path(__file__).parent))
    rows = [("what", "measured", "target", "met")]
    for part in sys.argv[1:] or PARTS:
        for what, measured, target, met in importlib.import_module(part).measure():
            rows.append((what, measured, target, "yes" if met else "NO"))
            print(f"{what}: {measured} (target {target})", file=sys.stderr, flush=True)
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3], sep="  ")
    return 0


sys.exit(main())
