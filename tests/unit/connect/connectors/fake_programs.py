"""Environments with programs of the tests' own, which do what their configuration says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

TAP = """\
import argparse, json, os, sys, time
parser = argparse.ArgumentParser()
for option in ("--config", "--catalog", "--state", "--properties"):
    parser.add_argument(option)
parser.add_argument("--discover", action="store_true")
arguments = parser.parse_args()
config = json.load(open(arguments.config))
def say(**message):
    print(json.dumps(message), flush=True)
if arguments.discover:
    fields = {"id": {"type": "integer"}, "name": {"type": ["null", "string"]}}
    schema = {"type": "object", "properties": fields}
    streams = [{"tap_stream_id": name, "stream": name, "schema": schema, "key_properties": ["id"],
                "metadata": [{"breadcrumb": [], "metadata": {}},
                             {"breadcrumb": ["properties", "name"], "metadata": {"inclusion": "available"}}]}
               for name in ("people", "places")]
    print(json.dumps({"streams": streams}))
    sys.exit(0)
state = json.load(open(arguments.state)) if arguments.state else {}
catalog = json.load(open(arguments.catalog))
exec(config["does"])
"""
READ = """
known = state.get("bookmarks", {}).get("people", 0)
schema = catalog["streams"][0]["schema"]
say(type="SCHEMA", stream="people", schema=schema, key_properties=["id"])
for number in range(known + 1, int(config["until"]) + 1):
    say(type="RECORD", stream="people", record={"id": number, "name": f"n{number}"}, version=7,
        time_extracted="2026-01-01T00:00:00Z")
    if number % 2 == 0:
        say(type="STATE", value={"bookmarks": {"people": number}})
"""
"""Reads on from its state; a state behind every second record"""


def install(root: Path, name: str, kind: str, program: str) -> None:
    """As `Environments` leaves them."""
    folder = root / name
    (folder / "bin").mkdir(parents=True)
    script = folder / "bin" / name
    script.write_text(f"#!{sys.executable} -S\n{program}")
    script.chmod(0o755)
    mark = {"kind": kind, "requirement": f"{name}==1.0", "runs": name}
    (folder / "ottla.json").write_text(json.dumps(mark))


TARGET = """\
import json, os, sys, time
config = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
out = open(config["file"], "a")
def keep(line):
    out.write(line)
    out.flush()
def say(state):
    print(json.dumps(state), flush=True)
state = None
exec(config["does"])
"""
AT_THE_END = """
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "STATE":
        state = message["value"]
    else:
        keep(line)
if state:
    say(state)
"""
AT_ONCE = """
for line in sys.stdin:
    if json.loads(line)["type"] == "STATE":
        say(json.loads(line)["value"])
    else:
        keep(line)
"""
