"""The list of what can be connected: `catalogue.tsv`, one line an entry.

`state` says how far an entry is to be trusted: `core` is Ottla's own or run whole by its tests, `verified`
was installed and asked what it has (`checked` says on which day, `found` what it said), `community` is
neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from importlib.resources import files
from typing import NamedTuple

__all__ = ["Entry", "Kind", "State", "entries", "entry_of", "parse", "render"]


class Kind(Enum):
    """What it is; all but OWN are installed in a virtual environment each."""

    TAP = "tap"
    TARGET = "target"
    SOURCE = "dlt-source"
    DESTINATION = "dlt-destination"
    OWN = "own"


class State(Enum):
    CORE = "core"
    VERIFIED = "verified"
    COMMUNITY = "community"


class Entry(NamedTuple):
    """`requirement` is what is installed, with its version (of OWN: the extra of Ottla that it needs); `runs`
    a program of it, a place in Python (`module:name`) or, of OWN, a connector's class; nothing where the
    program is called as the package.
    """

    name: str
    kind: Kind
    requirement: str
    runs: str
    state: State
    checked: str
    found: str
    system: str

    @property
    def version(self) -> str:
        return self.requirement.partition("==")[2]


def parse(text: str) -> list[Entry]:
    """ValueError for a line that is no entry."""
    found: list[Entry] = []
    for line in text.splitlines()[1:]:
        name, kind, requirement, runs, state, checked, said, system = line.split("\t")
        found.append(Entry(name, Kind(kind), requirement, runs, State(state), checked, said, system))
    return found


def render(listed: Iterable[Entry]) -> str:
    """The file's text: by kind, then by name."""
    kinds = list(Kind)
    ordered = sorted(listed, key=lambda each: (kinds.index(each.kind), each.name))
    rows = [[str(part.value if isinstance(part, Enum) else part) for part in each] for each in ordered]
    return "".join("\t".join(row) + "\n" for row in (Entry._fields, *rows))


def entries() -> list[Entry]:
    """All of them."""
    return parse(files(__package__).joinpath("catalogue.tsv").read_text("utf-8"))


def entry_of(name: str, *kinds: Kind) -> Entry | None:
    """The entry of this name; kinds are those that are looked among."""
    found: Mapping[str, Entry] = {each.name: each for each in entries() if not kinds or each.kind in kinds}
    return found.get(name)
