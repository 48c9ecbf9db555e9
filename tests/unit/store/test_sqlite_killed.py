"""SIGKILL in the middle of transactions: what was acknowledged stays, and no transaction is half there."""

import signal
import subprocess
import sys

import pytest

from ottla.store.sqlite import SqliteEngine

WRITER = """
import sys
from ottla.metadata.transaction import Put, Transaction
from ottla.store.sqlite import SqliteEngine

store = SqliteEngine(sys.argv[1], history_revisions=5)
number = store.revision
while True:
    number += 1
    value = str(number).encode()
    store.transaction(Transaction((), tuple(Put(f"/key/{part}", value) for part in range(20))))
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_acknowledged_transactions_survive_whole(tmp_path, acknowledged):
    path = tmp_path / "metadata.sqlite"
    for _restart in range(2):
        last = _run_and_kill(path, acknowledged)
        engine = SqliteEngine(str(path))
        snapshot = engine.range("/key/")
        engine.close()
        # One more may have been written than the pipe had room to tell of.
        assert snapshot.revision in (last, last + 1)
        assert {entry.value for entry in snapshot.entries} == {str(snapshot.revision).encode()}
        assert len(snapshot.entries) == 20


def _run_and_kill(path, acknowledged):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    with writer.stdout:
        lines = [writer.stdout.readline() for _ in range(acknowledged)]
        writer.send_signal(signal.SIGKILL)
        lines.extend(writer.stdout)
    writer.wait()
    return int([line for line in lines if line.endswith(b"\n")][-1])
