"""Where an etcd server is that can be started here."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path


def find_etcd() -> str | None:
    """The path of etcd's server: what `OTTLA_ETCD` names, else the package `ottla-etcd`'s, else PATH's."""
    named = os.environ.get("OTTLA_ETCD")
    if named:
        return named
    package = importlib.util.find_spec("ottla_etcd")
    if package is not None and package.origin is not None:
        brought = Path(package.origin).with_name("etcd")
        if brought.is_file():
            return str(brought)
    return shutil.which("etcd")
