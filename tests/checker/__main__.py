"""`python -m tests.checker FILE...`: judge what was saved, each file by itself; 1 when something is found."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.checker.history import History
from tests.checker.judge import judge


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--together", action="store_true", help="the files are parts of one history")
    options = parser.parse_args()
    groups = [options.files] if options.together else [[path] for path in options.files]
    is_bad = False
    for paths in groups:
        history = History.load(*paths)
        found = judge(history)
        print(f"{', '.join(map(str, paths))}: {len(history.operations)} operations, {len(found)} anomalies")
        for anomaly in found:
            print(f"  {anomaly}")
        is_bad = is_bad or bool(found)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
