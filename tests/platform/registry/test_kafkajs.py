"""KafkaJS' registry client, driven through Node's own test runner."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.platform.registry.registry_process import Api

from ottla.testing import InProcessBroker

FOLDER = Path(__file__).parent / "js"
INSTALL_TIMEOUT_S, RUN_TIMEOUT_S = 100, 100

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="KafkaJS needs node and npm"
)


def install() -> None:
    """The first of several test processes does it."""
    with (FOLDER / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (FOLDER / "node_modules" / "kafkajs").is_dir():
            return
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(
            command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"npm could not install KafkaJS: {done.stderr.strip()[-300:]}")


@pytest.mark.parametrize(
    "name",
    [
        "avro values go through a topic",
        "a schema has one id, and evolves",
        "references",
        "json schema",
        "protobuf",
    ],
)
def test_kafkajs(broker: InProcessBroker, api: Api, name: str) -> None:
    install()
    environment = {
        **os.environ,
        "BOOTSTRAP": broker.bootstrap_servers,
        "REGISTRY": api.url,
        "KAFKAJS_NO_PARTITIONER_WARNING": "1",
    }
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", f"--test-name-pattern=^{name}$", "registry.test.js"],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 1" in done.stdout, done.stdout
