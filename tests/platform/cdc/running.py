"""A scenario played to a connector, and its records as they are compared: as JSON's converter writes them,
with what differs from run to run in a normal form.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from tests.platform.cdc.postgres import USER, PostgresServer
from tests.platform.cdc.scenarios import Scenario

Shown = dict[str, Any]


class Runner(Protocol):
    """Debezium or ours."""

    def start(self, config: Mapping[str, str], *, fresh: bool = True) -> None: ...

    def poll(self) -> list[Shown]: ...

    def stop(self) -> list[Any]: ...


def config_of(scenario: Scenario, server: PostgresServer, database: str) -> dict[str, str]:
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "name": "cdc",
        "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1",
        "database.port": str(server.port),
        "database.user": USER,
        "database.password": "",
        "database.dbname": database,
        "topic.prefix": "srv",
        "slot.name": database.replace("-", "_"),
        "publication.name": database.replace("-", "_"),
        "poll.interval.ms": "20",
        **scenario.config,
    }


def play(scenario: Scenario, server: PostgresServer, runner: Runner) -> list[Shown]:
    """All records, in their order."""
    database = f"cdc-{scenario.name}"
    server.create(database)
    try:
        server.execute(database, scenario.before)
        config = config_of(scenario, server, database)
        runner.start(config)
        try:
            records = runner.poll()
            for each in [[one] for one in scenario.during] if scenario.restarts else [scenario.during]:
                if scenario.restarts:
                    runner.stop()
                server.execute(database, each)
                if scenario.restarts:
                    runner.start(config, fresh=False)
                records += runner.poll()
        finally:
            runner.stop()
    finally:
        server.drop(database)
    normal = Normal(records)
    return canonical([normal.record(each) for each in records])


_TIMES: Final = ("ts_ms", "ts_us", "ts_ns")
_PLACES: Final = ("lsn", "lsn_proc", "lsn_commit", "origin_lsn")
_CONTEXT: Final = "__debezium.context."


class Normal:
    """Transactions and places in the log by their rank, times by whether they are there."""

    def __init__(self, records: Sequence[Shown]) -> None:
        places: dict[int, None] = {}
        transactions: dict[int, None] = {}
        for shown in records:
            places |= dict.fromkeys(v for n, v in shown["offset"].items() if n in _PLACES)
            transactions |= dict.fromkeys(v for n, v in shown["offset"].items() if n == "txId")
            source = _source_of(shown)
            places |= dict.fromkeys(_sequence(source.get("sequence") or "[]"))
        places.pop(None, None)  # type: ignore[call-overload]
        self._places = {place: rank for rank, place in enumerate(sorted(places))}
        self._transactions = {number: rank for rank, number in enumerate(sorted(transactions))}

    def record(self, shown: Shown) -> Shown:
        headers = [each for each in shown["headers"] if not each[0].startswith(_CONTEXT)]
        context = [each for each in shown["headers"] if each[0].startswith(_CONTEXT)]
        return {
            "topic": shown["topic"],
            "key": self._value(shown["key"]),
            "value": self._value(shown["value"]),
            "headers": headers,
            "context": " ".join(name.removeprefix(_CONTEXT) for name, _ in context),
            "partition": shown["partition"],
            "offset": {name: self._numbered(name, value) for name, value in sorted(shown["offset"].items())},
            "timestamp": shown["timestamp"] is not None,
        }

    def _numbered(self, name: str, value: Any) -> Any:
        if value is None:
            return None
        if name in _PLACES:
            return self._places[value]
        if name == "txId":
            return self._transactions[value]
        if name in ("ts_usec", *_TIMES):
            return "time"
        if name == "sequence":
            return [None if each is None else self._places[each] for each in _sequence(value)]
        if name == "transaction_id":
            return self._transactions[int(value)]
        if name == "id" and isinstance(value, str) and ":" in value:
            number, _, place = value.partition(":")
            return [self._transactions[int(number)], self._places[int(place)]]
        return value

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict) and "payload" in value:
            return {"schema": value["schema"], "payload": self._payload(value["payload"])}
        return value

    def _payload(self, payload: Any) -> Any:
        if not isinstance(payload, dict):
            return payload
        if not {"op", "status", *_TIMES} & payload.keys():
            return {
                name: self._numbered(name, value) if name == "id" else value
                for name, value in payload.items()
            }
        changed = {name: self._numbered(name, value) for name, value in payload.items()}
        for name in ("source", "transaction"):
            if isinstance(changed.get(name), dict):
                changed[name] = {each: self._numbered(each, value) for each, value in changed[name].items()}
        for name in ("before", "after"):  # of the defaults' table
            row = changed.get(name)
            if isinstance(row, dict) and row.get("now") is not None:
                changed[name] = {**row, "now": type(row["now"]).__name__}
        return changed


def _sequence(text: str) -> list[int | None]:
    return [None if each is None else int(each) for each in json.loads(text)]


def _source_of(shown: Shown) -> dict[str, Any]:
    value = shown["value"]
    payload = value["payload"] if isinstance(value, dict) else None
    source = payload.get("source") if isinstance(payload, dict) else None
    return source if isinstance(source, dict) and "connector" in source else {}


def canonical(records: list[Shown]) -> list[Shown]:
    """With the end of a transaction where the next record's event is: whether something that no record tells
    of is between them in the log is chance.
    """
    events = sorted(
        {each["offset"]["lsn"] for each in records if each["offset"].get("messageType") != "COMMIT"}
    )

    def at(place: int) -> int:
        found = bisect.bisect_left(events, place)
        return min(len(events), found)

    def changed(name: str, value: Any) -> Any:
        if name in _PLACES and isinstance(value, int):
            return at(value)
        if name == "sequence" and isinstance(value, list):
            return [None if each is None else at(each) for each in value]
        if name == "id" and isinstance(value, list):
            return [value[0], at(value[1])]
        if name == "schema":
            return value
        if isinstance(value, dict):
            return {inner: changed(inner, each) for inner, each in value.items()}
        return value

    return [{name: changed(name, value) for name, value in each.items()} for each in records]


def packed(records: list[Shown]) -> dict[str, Any]:
    """Each schema once."""
    schemas: list[Any] = []

    def pack(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if value["schema"] not in schemas:
            schemas.append(value["schema"])
        return {"schema": schemas.index(value["schema"]), "payload": value["payload"]}

    shown = [{**each, "key": pack(each["key"]), "value": pack(each["value"])} for each in records]
    return {"schemas": schemas, "records": shown}


def unpacked(golden: dict[str, Any]) -> list[Shown]:
    def unpack(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {"schema": golden["schemas"][value["schema"]], "payload": value["payload"]}

    return [
        {**each, "key": unpack(each["key"]), "value": unpack(each["value"])} for each in golden["records"]
    ]


def text_of(golden: dict[str, Any]) -> str:
    """A line for each schema and record."""
    parts = [
        f'"{name}": [\n' + ",\n".join(json.dumps(each, ensure_ascii=False) for each in golden[name]) + "\n]"
        for name in ("schemas", "records")
    ]
    return "{" + ",\n".join(parts) + "}\n"
