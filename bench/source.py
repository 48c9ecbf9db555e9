"""The source that is measured: a copy of the working tree's, or a commit's."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


@contextlib.contextmanager
def snapshot() -> Iterator[Path]:
    """A copy of `src`, so that a run that lasts measures one source, whatever is edited meanwhile."""
    with tempfile.TemporaryDirectory(prefix="ottla-bench-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        yield copy


@contextlib.contextmanager
def revision(name: str) -> Iterator[Path]:
    """The `src` of a commit, in a work tree of its own. Raises CalledProcessError where there is none."""
    git = ("git", "-C", str(ROOT))
    with tempfile.TemporaryDirectory(prefix="ottla-bench-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "worktree", "add", "--detach", "--quiet", str(tree), name], check=True)
        try:
            yield tree / "src"
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(tree)], check=True)
