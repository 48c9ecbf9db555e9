"""Finding the topology that a command was given: `MODULE:NAME`, or `FILE.py:NAME`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import ottla
from ottla.cli.connection import CommandError

if TYPE_CHECKING:
    from ottla.streams.topology.topology import Topology

_DEFAULT_NAME = "topology"
_OTTLA = Path(ottla.__file__).parent


def load_topology(target: str, *, optimize: bool) -> Topology:
    """A Topology, a StreamsBuilder, which is built, or a function without arguments that gives one of these.

    `optimize` is `build`'s. CommandError says what is wrong with the target, or with the program."""
    from ottla.streams.dsl.builder import StreamsBuilder
    from ottla.streams.topology.topology import Topology

    place, colon, name = target.rpartition(":")
    if not colon:
        place, name = target, _DEFAULT_NAME
    found = _attribute(_module(place), place, name)
    try:
        if callable(found) and not isinstance(found, type):
            found = found()
        if isinstance(found, StreamsBuilder):
            found = found.build(optimize=optimize)
    except Exception as error:
        raise CommandError(f"{target} failed: {_said(error)}") from error
    if not isinstance(found, Topology):
        raise CommandError(
            f"{target} is a {type(found).__name__}, and neither a Topology nor a StreamsBuilder"
        )
    return found


def _module(place: str) -> ModuleType:
    """Modules are looked for in the current folder, too; those of a file beside it."""
    path = Path(place)
    is_file = place.endswith(".py")
    if is_file and not path.is_file():
        raise CommandError(f"there is no file {place}")
    sys.path.insert(0, str(path.resolve().parent) if is_file else str(Path.cwd()))
    name = path.stem if is_file else place
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise CommandError(
                f"there is no module {name!r}: it is looked for in {sys.path[0]} and where Python looks"
            ) from error
        raise CommandError(f"{place} cannot be imported: {_said(error)}") from error
    except Exception as error:
        raise CommandError(f"{place} cannot be imported: {_said(error)}") from error


def _attribute(module: ModuleType, place: str, name: str) -> object:
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(
                part, [each for each in dir(found) if not each.startswith("_")], 3
            )
            hint = f"; it has {', '.join(near)}" if near else ""
            raise CommandError(f"{place} has no {name!r}{hint}")
        found = getattr(found, part)
    return found


def _said(error: Exception) -> str:
    """The error, and the line of the program that led to it."""
    text = f"{type(error).__name__}: {error}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if _is_of_program(each.filename)]
    return text if not frames else f"{text} ({frames[-1].filename}, line {frames[-1].lineno})"


def _is_of_program(filename: str) -> bool:
    return "importlib" not in filename and not filename.startswith(str(_OTTLA))
