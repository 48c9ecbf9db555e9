"""The table of pairs of schemas: old, new, and why the one does or does not read what the other wrote."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PAIRS = Path(__file__).parent / "pairs"


class Pair(NamedTuple):
    """A row; `backward` and `forward` are the reasons expected, each a type and a path."""

    name: str
    old: str
    new: str
    backward: Sequence[str]
    forward: Sequence[str]
    why: str
    unjudged: str = ""
    """Why another library has no say."""
    references: Mapping[str, str] = {}


def pairs(file: str) -> list[Pair]:
    return [Pair(**row) for row in tomllib.loads((PAIRS / f"{file}.toml").read_text())["pair"]]
