"""The plugin of mypy that finds iterated sets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tools import set_order

CODE = """
from collections.abc import Set
from itertools import chain
from uuid import UUID

class Thing: ...

def f(
    texts: set[str],
    things: frozenset[Thing],
    maybe: set[str] | None,
    numbers: set[int],
    ids: Set[tuple[UUID, int]],
    known: dict[str, int],
) -> None:
    for text in texts: print(text)  # here
    print([thing for thing in things])  # here
    print(list(texts))  # here
    print([*texts])  # here
    print((*things,))  # here
    print(*texts)  # here
    print(",".join(texts))  # here
    print(next(iter(things)))  # here
    print(list(chain(texts, [])))  # here
    print(texts.pop())  # here
    for name in known.keys() & texts: print(name)  # here
    if maybe: print(tuple(maybe))  # here
    for number in numbers: print(number)
    for each in ids: print(each)
    for name in known: print(name)
    print(sorted(texts), len({*texts} | set(known)), any(texts), "a" in texts)
"""


def test_iterated_sets_are_found_where_their_order_differs(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nplugins = {set_order.__file__}\n")
    command = [sys.executable, "-m", "mypy", "--cache-dir", "cache", "code.py"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    found = re.findall(
        r"^code\.py:(\d+): error: The order of .* differs  \[set-order\]$", done.stdout, re.MULTILINE
    )
    expected = [number for number, line in enumerate(CODE.splitlines(), 1) if line.endswith("# here")]
    assert [int(number) for number in found] == expected, done.stdout + done.stderr
