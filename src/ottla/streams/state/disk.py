"""What libraries call an input or output error, or nothing at all, where a disk is full."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

_LITTLE: Final = 1 << 20
"""Bytes that may be left when a write fails that would have needed more."""


def full_disk(folder: Path) -> str | None:
    """What to say, where the disk that the folder is on has no room."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    if free >= _LITTLE:
        return None
    return (
        f"its disk is full ({free} bytes left): make room and start again, which goes on from the last commit"
    )
