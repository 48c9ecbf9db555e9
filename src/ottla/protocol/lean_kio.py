"""Importing kio without what a broker has no use for."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import cast


def import_kio() -> None:
    """Load kio's types before anything else does.

    Where hypothesis is installed, kio imports it to register strategies for its types. That takes a fifth of
    a second and 25 MB, in every test environment that starts a broker, so hypothesis is hidden meanwhile.
    Where a program has already loaded it, nothing is hidden.
    """
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if "hypothesis" in modules:
        return
    modules["hypothesis"] = None  # makes its import fail, which kio expects
    try:
        importlib.import_module("kio.static.primitive")
    finally:
        del modules["hypothesis"]
