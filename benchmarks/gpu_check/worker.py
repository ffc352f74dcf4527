"""The process of one part: writes a line of JSON for each row, as soon as there is one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.gpu_check.parts import PARTS, Row, work
from sweeper._third_party import ignore_known_warnings

__all__ = ["main"]


def main() -> None:
    """Runs the part that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[part.name for part in PARTS])
    parser.add_argument("place", type=Path, help="file of the rows")
    parser.add_argument("--small", action="store_true", help="on a CPU")
    arguments = parser.parse_args()
    [part] = [part for part in PARTS if part.name == arguments.part]
    ignore_known_warnings()
    with arguments.place.open("w", encoding="utf-8") as file:

        def write(row: Row) -> None:
            file.write(json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n")
            file.flush()

        work(part, write, is_small=arguments.small)


if __name__ == "__main__":
    main()
