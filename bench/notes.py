"""What docs/performance.md says beside its numbers: notes on subjects, and why a row misses its goal."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bench.results import Measured

FILE = Path(__file__).with_name("notes.toml")
_NUMBER = re.compile(r"\{([^{}|]+) \| ([^{}|]+?)(?: \| ([^{}|]+))?\}")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why rows fall short, and what was tried."""

    workloads: tuple[str, ...]
    """Patterns as of a shell; a row matches any."""
    metrics: tuple[str, ...]
    text: str

    def explains(self, row: Measured) -> bool:
        """Whether this is about the row."""
        return row.metric in self.metrics and any(fnmatchcase(row.workload, each) for each in self.workloads)


@dataclass(frozen=True, slots=True)
class Notes:
    """The texts of `notes.toml`, where `{workload | metric}` stands for Ottla's median, and
    `{workload | metric | kafka}` for Kafka's."""

    subjects: dict[str, str]
    causes: tuple[Cause, ...]

    @classmethod
    def load(cls, path: Path = FILE) -> Notes:
        """Read the file. Raises KeyError and ValueError where it is not of this form."""
        found = tomllib.loads(path.read_text())
        causes = tuple(
            Cause(tuple(each["workloads"]), tuple(each["metrics"]), " ".join(each["text"].split()))
            for each in found.get("causes", ())
        )
        return cls(found.get("subjects", {}), causes)

    def cause_of(self, row: Measured) -> Cause | None:
        """The first that explains the row."""
        return next((each for each in self.causes if each.explains(row)), None)


def numbers_in(text: str) -> list[tuple[str, str, str]]:
    """Workload, metric and broker of every number that the text names."""
    return [(found[1], found[2], found[3] or "ottla") for found in _NUMBER.finditer(text)]


def filled_in(text: str, number: Callable[[str, str, str], str]) -> str:
    """The text with its numbers."""
    return _NUMBER.sub(lambda found: number(found[1], found[2], found[3] or "ottla"), text)
