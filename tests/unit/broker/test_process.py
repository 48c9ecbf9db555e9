"""What a process that serves has loaded and taken when it is ready: each thing costs every start and all the
time that it idles.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

NOT_TO_SERVE = {
    "confluent_kafka",  # Kafka's client and the tables of the other commands
    "rich",
    "cramjam",  # 3 MB; for compressed batches
    "ottla.coordination.groups.shard",  # 30 ms and 2 MB; for groups
    "kio",  # for tests only
    "difflib",  # for mistakes in settings
    "importlib.metadata",
    "pathlib",  # 5 ms with what it imports; for a file of settings
    "secrets",
    "shutil",  # 3 ms with its compressors
    "tempfile",
    "tomllib",  # for a file of settings
}

SERVE = """
import atexit, gc, sys
before = set(sys.modules)
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count(), *(sys.modules.keys() - before)))
from ottla.cli.main import main
main()
"""


def serve(folder: Path) -> subprocess.Popen[str]:
    """A broker that is ready; when it ends it says of the collector whether it is on and what it may skip,
    and which modules are loaded.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", "--data", str(folder), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("OTTLA_")},
    )
    assert process.stdout is not None
    assert "ready" in process.stdout.readline()
    return process


def test_a_broker_loads_only_what_serves(tmp_path: Path) -> None:
    with serve(tmp_path) as process:
        process.terminate()
        printed, _ = process.communicate()
    enabled, frozen, *loaded = printed.split()
    assert NOT_TO_SERVE.isdisjoint(loaded)
    assert "ottla.broker.assembly" in loaded
    assert enabled == "True"
    assert int(frozen) > 10_000, "the collector need not look at what was imported"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in Linux's /proc")
def test_an_idle_broker_has_one_thread(tmp_path: Path) -> None:
    with serve(tmp_path) as process:
        # The one that opened the store ends as the broker gets ready.
        for _ in range(100):
            threads = list(Path(f"/proc/{process.pid}/task").iterdir())
            if len(threads) == 1:
                break
            time.sleep(0.05)
        process.terminate()
        process.communicate()
    assert len(threads) == 1
