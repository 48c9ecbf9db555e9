"""Runs dlt in a virtual environment that has it, and nothing of Ottla: this file alone is executed there.

    python dlt_runner.py source CONFIG.JSON         write what a source gives, run by run
    python dlt_runner.py destination CONFIG.JSON    load what is read, every few seconds
    python dlt_runner.py describe source|destination MODULE:NAME

What is written and read are Singer's messages, a line of JSON each. A destination also takes
`{"type": "FLUSH"}`: load at once. A state that it writes back is in the destination.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import fnmatch
import importlib
import inspect
import json
import os
import select
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

MAX_ROWS = 50_000
MAX_BYTES = 64 << 20
PIPELINE = "ottla"

TYPES: Mapping[str, dict[str, object]] = {
    "text": {"type": ["null", "string"]},
    "double": {"type": ["null", "number"]},
    "bool": {"type": ["null", "boolean"]},
    "bigint": {"type": ["null", "integer"]},
    "timestamp": {"type": ["null", "string"], "format": "date-time"},
    "date": {"type": ["null", "string"], "format": "date"},
    "time": {"type": ["null", "string"]},
    "binary": {"type": ["null", "string"], "contentEncoding": "base64"},
    "decimal": {"type": ["null", "string"], "format": "singer.decimal"},
    "wei": {"type": ["null", "string"], "format": "singer.decimal"},
    "json": {},
}
"""dlt's types of columns as JSON Schema"""


class Out:
    """Standard output for messages alone: what dlt and sources print goes where errors go."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def say(self, message: Mapping[str, object]) -> None:
        self._file.write(json.dumps(message, default=plain) + "\n")

    def flush(self) -> None:
        self._file.flush()


def plain(value: object) -> object:
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def place(name: str) -> Any:
    module, _, qualified = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualified.split("."):
        found = getattr(found, part)
    return found


def prepare(config: Mapping[str, Any]) -> None:
    """Before dlt is imported: where it keeps what it has, and its own settings, which it takes from
    variables.
    """
    os.environ.update(DLT_DATA_DIR=config["folder"], RUNTIME__DLTHUB_TELEMETRY="false")
    for name, value in config["settings"].items():
        text = value if isinstance(value, str) else json.dumps(value)
        os.environ[name.upper().replace(".", "__")] = text


# Sources.


class Reader:
    def __init__(self, config: Mapping[str, Any], out: Out) -> None:
        import dlt  # type: ignore[import-not-found,unused-ignore]

        self._dlt: Any = dlt
        self._config = config
        self._out = out
        self._told: dict[str, object] = {}

        def loaded(items: list[dict[str, object]], table: Mapping[str, Any]) -> None:
            self._loaded(items, table)  # dlt takes functions, and no methods

        destination = dlt.destination(
            loaded,
            name="ottla",
            batch_size=1000,
            loader_file_format="typed-jsonl",
            naming_convention="direct",
            max_table_nesting=0,
            skip_dlt_columns_and_tables=True,
            max_parallel_load_jobs=1,
        )
        self._pipeline = dlt.pipeline(PIPELINE, pipelines_dir=config["folder"], destination=destination)

    def run(self) -> None:
        """Until it is killed. A state is written behind each run, changed or not: it is alive."""
        from dlt.common.json import json as typed  # type: ignore[import-not-found,unused-ignore]

        if self._config["state"]:
            with self._pipeline.managed_state() as state:
                state["sources"] = typed.typed_loads(self._config["state"]["sources"])
        while True:
            self._pipeline.run(self._source())
            sources = self._pipeline.state.get("sources", {})
            self._out.say({"type": "STATE", "value": {"sources": typed.typed_dumps(sources)}})
            self._out.flush()
            time.sleep(self._config["interval_s"])

    def _source(self) -> Any:
        """With the resources that are wanted; what a generator function gives is a resource as well."""
        found = place(self._config["runs"])(**self._config["arguments"])
        if not hasattr(found, "with_resources"):
            return found
        names = list(found.resources)
        wanted = [each for each in names if self._is_wanted(each)]
        if not wanted:
            raise SystemExit(f"no stream is wanted; there are: {', '.join(names)}")
        chosen = found.with_resources(*wanted)
        for pattern, hints in self._config["hints"].items():
            for name in fnmatch.filter(wanted, pattern):
                self._hint(chosen.resources[name], dict(hints))
        return chosen

    def _is_wanted(self, name: str) -> bool:
        def fits(patterns: Iterable[str]) -> bool:
            return any(fnmatch.fnmatchcase(name, each) for each in patterns)

        return fits(self._config["streams"] or ["*"]) and not fits(self._config["exclude"])

    def _hint(self, resource: Any, hints: dict[str, Any]) -> None:
        cursor = hints.pop("incremental", None)
        if cursor is not None:
            hints["incremental"] = self._dlt.sources.incremental(cursor)
        resource.apply_hints(**hints)

    def _loaded(self, items: list[dict[str, object]], table: Mapping[str, Any]) -> None:
        name, columns = table["name"], table["columns"]
        fields = {
            column: TYPES.get(hints.get("data_type", ""), {})
            for column, hints in columns.items()
            if not self._is_excluded(f"{name}.{column}")
        }
        keys = [column for column, hints in columns.items() if hints.get("primary_key") and column in fields]
        described = {"schema": {"type": "object", "properties": fields}, "key_properties": keys}
        if self._told.get(name) != described:
            self._told[name] = described
            self._out.say({"type": "SCHEMA", "stream": name, **described})
        for item in items:
            record = {column: value for column, value in item.items() if column in fields}
            self._out.say({"type": "RECORD", "stream": name, "record": record})
        self._out.flush()

    def _is_excluded(self, field: str) -> bool:
        return any(fnmatch.fnmatchcase(field, each) for each in self._config["exclude"])


# Destinations.


class Stream:
    """Rows that are not loaded yet, and what is known of their columns."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.columns: dict[str, dict[str, object]] = {}
        self.keys: list[str] = []

    def describe(self, schema: Mapping[str, Any], keys: list[str]) -> None:
        self.columns = {name: column(each) for name, each in schema.get("properties", {}).items()}
        self.keys = keys


def column(described: Mapping[str, Any]) -> dict[str, object]:
    """dlt's hints; nothing where it is to see by itself."""
    kinds = described.get("type", [])
    real = [each for each in ([kinds] if isinstance(kinds, str) else kinds) if each != "null"]
    if len(real) != 1:
        return {}
    if "x-scale" in described:
        return {"data_type": "decimal", "precision": 38, "scale": described["x-scale"]}
    if real == ["string"]:
        form = {"date-time": "timestamp", "date": "date", "time": "time"}.get(
            described.get("format", ""), "text"
        )
        return {"data_type": "binary" if described.get("contentEncoding") == "base64" else form}
    simple = {"integer": "bigint", "number": "double", "boolean": "bool"}.get(real[0])
    return {} if simple is None else {"data_type": simple}


class Loader:
    def __init__(self, config: Mapping[str, Any], out: Out) -> None:
        import dlt

        self._dlt: Any = dlt
        self._config = config
        self._out = out
        self._pipeline = dlt.pipeline(
            PIPELINE,
            pipelines_dir=config["folder"],
            destination=place(config["runs"])(**config["arguments"]),
            dataset_name=config["dataset"],
        )
        self._streams: dict[str, Stream] = {}
        self._rows = self._bytes = 0
        self._state: object = None

    def run(self) -> None:
        """Until the input ends."""
        pending = bytearray()
        due = 0.0
        while True:
            wait_s = max(due - time.monotonic(), 0) if self._rows or self._state else None
            if select.select([0], [], [], wait_s)[0]:
                data = os.read(0, 1 << 18)
                if not data:
                    self._load()
                    return
                if not self._rows and not self._state:
                    due = time.monotonic() + self._config["interval_s"]
                pending += data
                *lines, rest = pending.split(b"\n")
                pending = bytearray(rest)
                for line in lines:
                    self._take(bytes(line))
            is_full = self._rows >= MAX_ROWS or self._bytes >= MAX_BYTES
            if is_full or ((self._rows or self._state) and time.monotonic() >= due):
                self._load()

    def _take(self, line: bytes) -> None:
        message = json.loads(line, parse_float=decimal.Decimal)
        kind = message["type"]
        if kind == "SCHEMA":
            stream = self._streams.setdefault(message["stream"], Stream())
            if stream.rows:
                self._load()  # these are of the schema before
            stream.describe(message["schema"], message["key_properties"])
        elif kind == "RECORD":
            stream = self._streams[message["stream"]]
            row = message["record"]
            exact = {name for name, hints in stream.columns.items() if hints.get("data_type") == "decimal"}
            stream.rows.append(
                {name: value if name in exact else floats(value) for name, value in row.items()}
            )
            self._rows += 1
            self._bytes += len(line)
        elif kind == "STATE":
            self._state = message["value"]
        elif kind == "FLUSH":
            self._load()

    def _load(self) -> None:
        resources = [self._resource(name, each) for name, each in self._streams.items() if each.rows]
        if resources:
            self._pipeline.run(resources).raise_on_failed_jobs()
        for stream in self._streams.values():
            stream.rows = []
        self._rows = self._bytes = 0
        if self._state is not None:
            self._out.say(self._state)  # type: ignore[arg-type]
            self._out.flush()
            self._state = None

    def _resource(self, name: str, stream: Stream) -> Any:
        merges = self._config["disposition"] == "merge" or (not self._config["disposition"] and stream.keys)
        columns = {key: {"name": key, **hints} for key, hints in stream.columns.items()}
        offset, deleted = self._config["offset"], self._config["deleted"]
        if offset in columns:
            columns[offset] |= {"dedup_sort": "desc"} if merges else {}
        if deleted in columns and merges:
            columns[deleted] |= {"hard_delete": True}
        how: Any = self._config["disposition"] or "append"
        if merges:
            how = {"disposition": "merge", "strategy": "delete-insert"}
        return self._dlt.resource(
            stream.rows,
            name=name,
            write_disposition=how,
            primary_key=stream.keys or None,
            columns={key: hints for key, hints in columns.items() if len(hints) > 1},
        )


def floats(value: object) -> object:
    """Numbers that are not to be exact."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: floats(inner) for key, inner in value.items()}
    return [floats(each) for each in value] if isinstance(value, list) else value


def describe(kind: str, name: str) -> str:
    if kind == "source":
        return f"{len(inspect.signature(place(name)).parameters)} arguments"
    capabilities = place(name)().capabilities()
    formats = [capabilities.preferred_loader_file_format, *(capabilities.supported_loader_file_formats or ())]
    formats += capabilities.supported_staging_file_formats or ()
    merges = capabilities.supported_merge_strategies or ["no merge"]
    return f"{', '.join(dict.fromkeys(filter(None, formats)))}; {', '.join(merges)}"


def main() -> None:
    out = Out()
    role, *arguments = sys.argv[1:]
    if role == "describe":
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        out.say({"said": describe(*arguments)})
        out.flush()
        return
    with open(arguments[0], encoding="utf-8") as file:
        config = json.load(file)
    prepare(config)
    (Reader if role == "source" else Loader)(config, out).run()


if __name__ == "__main__":
    main()
