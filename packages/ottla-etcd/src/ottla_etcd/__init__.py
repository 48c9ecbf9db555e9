"""etcd's server; `path()` is where it is."""

import os
import sys
from pathlib import Path


def path() -> str:
    """The executable."""
    return str(Path(__file__).with_name("etcd"))


def main() -> None:
    """Become it, with the same arguments."""
    os.execv(path(), ["etcd", *sys.argv[1:]])
