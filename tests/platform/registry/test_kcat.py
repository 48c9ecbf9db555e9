"""`kcat -s avro`, where kcat was built with Avro (Debian's is not)."""

from __future__ import annotations

import json
import shutil
import subprocess

import pyarrow as pa
import pytest
from tests.platform.registry.registry_process import Api

from ottla import client
from ottla.testing import InProcessBroker


def _knows_avro() -> bool:
    found = shutil.which("kcat")
    if found is None:
        return False
    said = subprocess.run([found, "-V"], capture_output=True, text=True, check=False).stdout
    return "Avro" in said


@pytest.mark.skipif(not _knows_avro(), reason="no kcat with Avro (built with libserdes) is installed")
def test_kcat_shows_keys_and_values(broker: InProcessBroker, api: Api) -> None:
    values = client.avro(api.url)
    rows = [{"id": 1, "note": "x", "tags": ["a", "b"]}, {"id": 2, "note": None, "tags": []}]
    with client.connect(broker.bootstrap_servers) as c:
        c.write("kcat", pa.table({"key": [{"k": 1}, {"k": 2}], "value": rows}), key=values, value=values)
    line = [
        "kcat",
        "-b",
        broker.bootstrap_servers,
        "-C",
        "-t",
        "kcat",
        "-e",
        "-q",
        "-s",
        "avro",
        "-r",
        api.url,
    ]
    done = subprocess.run([*line, "-f", "%k %s\n"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    shown = [[json.loads(part) for part in _parts(line)] for line in done.stdout.splitlines()]
    # As Avro's own JSON has it, with the type of what is in a union.
    assert shown == [
        [
            {"k": {"long": number}},
            {
                "id": {"long": number},
                "note": None if note is None else {"string": note},
                "tags": {"array": [{"string": each} for each in tags]},
            },
        ]
        for number, note, tags in ((1, "x", ["a", "b"]), (2, None, []))
    ]


def _parts(line: str) -> tuple[str, str]:
    """A key and a value, each an object of JSON."""
    key, end = json.JSONDecoder().raw_decode(line)
    return json.dumps(key), line[end:]
