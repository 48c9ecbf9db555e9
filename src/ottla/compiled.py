"""Whether modules are compiled, as they are after `OTTLA_COMPILE=1 pip install` (docs/compiled.md)."""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec


def is_compiled(module: str = "ottla.network.connection") -> bool:
    """Whether `module` would be, or was, imported from a compiled file; without importing it."""
    found = find_spec(module)
    return found is not None and isinstance(found.loader, ExtensionFileLoader)
