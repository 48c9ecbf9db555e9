"""KafkaJS, driven through Node's own test runner: one test here for each file of tests/clients/js."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "js"
INSTALL_TIMEOUT_S, RUN_TIMEOUT_S = 100, 100

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="KafkaJS needs node and npm"
)


@pytest.fixture(scope="session")
def kafkajs() -> Path:
    """The folder with KafkaJS installed; the first of several test processes installs it."""
    with (FOLDER / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (FOLDER / "node_modules" / "kafkajs").is_dir():
            command = ["npm", "ci", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
            )
            if done.returncode != 0:
                pytest.skip(f"npm could not install KafkaJS: {done.stderr.strip()[-300:]}")
    return FOLDER


@pytest.mark.parametrize(
    "file", ["records.test.js", "groups.test.js", "transactions.test.js", "admin.test.js"]
)
def test_kafkajs(broker, kafkajs, file):
    environment = {**os.environ, "BOOTSTRAP": broker.bootstrap, "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", file],
        cwd=kafkajs,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
