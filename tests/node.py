"""Node's package manager and its test runner, for clients in JavaScript."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

_INSTALL_TIMEOUT_S: Final = 100
_RUN_TIMEOUT_S: Final = 100

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="KafkaJS needs node and npm"
)


def install(folder: Path) -> None:
    """What the folder's package.json names; the first of several test processes does it."""
    with (folder / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "node_modules" / "kafkajs").is_dir():
            return
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"npm could not install KafkaJS: {done.stderr.strip()[-300:]}")


def run_tests(folder: Path, *arguments: str, **environment: str) -> str:
    """What Node's test runner says (TAP), which must find nothing wrong."""
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", *arguments],
        cwd=folder,
        env={**os.environ, "KAFKAJS_NO_PARTITIONER_WARNING": "1", **environment},
        capture_output=True,
        text=True,
        timeout=_RUN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
