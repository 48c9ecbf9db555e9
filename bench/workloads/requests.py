"""Small requests: what a request costs, where throughput rows show what a byte costs."""

from __future__ import annotations

from bench import requests, wire
from bench.workloads.model import Context, Row, Workload

_CLIENT = "raw connections"


def _produces(context: Context, connections: int) -> Row:
    count = context.scaled(10_000 if connections == 1 else 40_000) // connections * connections
    with context.topic(1) as topic:
        request = requests.produce_request(topic, 0, 100)
        row = _drive(context, request, connections, count)
        with wire.Connection(context.broker.address) as connection:
            stored = wire.end_offsets(connection, topic, 1)[0]
        if stored < count:
            raise RuntimeError(f"{stored} of {count} records are in the log")
    return row


def _fetches(context: Context) -> Row:
    connections = 64
    with context.topic(1) as topic:
        requests.drive(context.broker.address, requests.produce_request(topic, 0, 100), 1, 1)
        request = wire.fetch_request(topic, max_bytes=200)
        return _drive(context, request, connections, context.scaled(40_000) // connections * connections)


def _drive(context: Context, request: bytes, connections: int, count: int) -> Row:
    requests.drive(context.broker.address, request, connections, max(connections, count // 10))
    cpu_s = context.broker.cpu_s()
    rate, _ = requests.drive(context.broker.address, request, connections, count)
    return {"requests/s": rate, "CPU us/request": (context.broker.cpu_s() - cpu_s) / count * 1e6}


WORKLOADS = (
    Workload("produce one record, 1 connection", "requests", _CLIENT, lambda c: _produces(c, 1), quick=True),
    Workload(
        "produce one record, 64 connections", "requests", _CLIENT, lambda c: _produces(c, 64), quick=True
    ),
    Workload("fetch one record, 64 connections", "requests", _CLIENT, _fetches, quick=True),
)
