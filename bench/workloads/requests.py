"""Small requests: what a request costs, where throughput rows show what a byte costs."""

from __future__ import annotations

import functools

from bench import floor, load, requests, wire
from bench.brokers import Running
from bench.workloads.model import RAW, Context, Row, Workload, each_round


def _produces(connections: int, context: Context) -> Row:
    count = context.scaled(30_000 if connections == 1 else 150_000) // connections * connections
    with context.topic(1) as topic:
        row = _send(context.broker, topic, requests.produce_request(topic, 0, 100), connections, count)
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
        count = context.scaled(150_000) // connections * connections
        return _send(context.broker, topic, request, connections, count)


def _send(broker: Running, topic: str, request: bytes, connections: int, count: int) -> Row:
    requests.drive(broker.address, request, connections, max(connections, count // 10))
    job = functools.partial(requests.send, requests=[request], connections=connections)
    cpu_s = broker.cpu_s()
    done = load.together((job, load.Task(broker.address, topic, 1, count)))
    cpu_s = broker.cpu_s() - cpu_s
    return {
        "requests/s": count / done.elapsed_s,
        "CPU us/request": cpu_s / count * 1e6,
        "broker cores": cpu_s / done.elapsed_s,
        **done.row(),
    }


WORKLOADS = (
    Workload(
        "produce one record, 1 connection",
        "requests",
        RAW,
        each_round(functools.partial(_produces, 1)),
        seconds=8,
        floor=functools.partial(floor.answer_rate, 1),
        quick=True,
    ),
    Workload(
        "produce one record, 64 connections",
        "requests",
        RAW,
        each_round(functools.partial(_produces, 64)),
        seconds=12,
        floor=functools.partial(floor.answer_rate, 64),
        quick=True,
    ),
    Workload(
        "fetch one record, 64 connections", "requests", RAW, each_round(_fetches), seconds=12, quick=True
    ),
)
