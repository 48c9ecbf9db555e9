"""What a node, which is one event loop, does with its core; and two nodes beside each other."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench import floor, load, requests, wire
from bench.workloads.model import RAW, Context, Floor, Measure, Prepare, Row, Workload

_PARTITIONS = 12
_RECORD_BYTES = 1024
_PRODUCED_MB, _CONSUMED_MB, _REQUESTS = 1_000, 4_000, 150_000
_FILLED_MB = 500
_FETCHED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Work:
    """What one client sends to one node."""

    topic: str
    frames: Sequence[bytes]
    count: int
    connections: int
    payload_bytes: int = 0
    """Of each request; 0 where what comes back is counted."""


_Make = Callable[[Context, contextlib.ExitStack], _Work]


def _produce(batch_bytes: int, node: Context, stack: contextlib.ExitStack) -> _Work:
    """One batch a request, as librdkafka sends them."""
    topic, records = (
        stack.enter_context(node.topic(_PARTITIONS)),
        requests.batched(_RECORD_BYTES, batch_bytes),
    )
    frames = [requests.produce_request(topic, index, _RECORD_BYTES, records) for index in range(_PARTITIONS)]
    payload = records * _RECORD_BYTES
    return _Work(topic, frames, node.scaled(_PRODUCED_MB * 1_000_000) // payload, 8, payload)


def _fetch(node: Context, _stack: contextlib.ExitStack) -> _Work:
    """All partitions in a request, 1 MB of each, on and on through the topic."""
    topic, records = node.filled(_RECORD_BYTES, _FILLED_MB, _PARTITIONS)
    in_batch = requests.batched(_RECORD_BYTES)
    step = _FETCHED_BYTES // (in_batch * _RECORD_BYTES) * in_batch
    last = max(1, records // _PARTITIONS - step)
    frames = [
        wire.fetch_request(topic, max_bytes=_FETCHED_BYTES, partitions=_PARTITIONS, offset=offset)
        for offset in range(0, last, step)
    ]
    return _Work(topic, frames, node.scaled(_CONSUMED_MB * 1_000_000) // (_FETCHED_BYTES * _PARTITIONS), 4)


def _small(node: Context, stack: contextlib.ExitStack) -> _Work:
    topic = stack.enter_context(node.topic(_PARTITIONS))
    frames = [requests.produce_request(topic, index, 100) for index in range(_PARTITIONS)]
    return _Work(topic, frames, node.scaled(_REQUESTS), 64, 100)


def _round(nodes: list[Context], make: _Make, *, by_request: bool) -> Row:
    """Every node has a client of its own; rates and cores are sums."""
    with contextlib.ExitStack() as stack:
        works = [make(node, stack) for node in nodes]
        jobs = []
        for node, work in zip(nodes, works, strict=True):
            client = functools.partial(requests.send, requests=work.frames, connections=work.connections)
            count = max(1, work.count // work.connections) * work.connections
            jobs.append((client, load.Task(node.broker.address, work.topic, _PARTITIONS, count)))
        cpu_s = sum(node.broker.cpu_s() for node in nodes)
        done = load.together(*jobs)
        cpu_s = sum(node.broker.cpu_s() for node in nodes) - cpu_s
    count = sum(task.records for _, task in jobs)
    cores = {"broker cores": cpu_s / done.elapsed_s, **done.row()}
    if by_request:
        return {"requests/s": count / done.elapsed_s, "CPU us/request": cpu_s / count * 1e6, **cores}
    megabytes = (count * works[0].payload_bytes or done.records) / 1e6
    return {"MB/s": megabytes / done.elapsed_s, "CPU s/GB": cpu_s / megabytes * 1000, **cores}


def _on_nodes(number: int, make: _Make, *, by_request: bool) -> Prepare:
    @contextlib.contextmanager
    def prepare(context: Context) -> Iterator[Measure]:
        with contextlib.ExitStack() as stack:
            more = [stack.enter_context(context.start()) for _ in range(number - 1)]
            nodes = [context, *(dataclasses.replace(context, broker=node, topics={}) for node in more)]
            yield lambda: _round(nodes, make, by_request=by_request)

    return prepare


def _workload(
    nodes: int, name: str, make: _Make, *, by_request: bool = False, floor: Floor | None = None
) -> Workload:
    return Workload(
        name=f"{'one node' if nodes == 1 else 'two nodes'}: {name}",
        subject="cores",
        client=RAW,
        prepare=_on_nodes(nodes, make, by_request=by_request),
        seconds=6,
        alone=True,
        floor=floor,
    )


WORKLOADS = (
    *(
        _workload(
            nodes,
            "produce 1 KB, batch 16 KB",
            functools.partial(_produce, 16_384),
            floor=functools.partial(floor.produce_rate, 16_384) if nodes == 1 else None,
        )
        for nodes in (1, 2)
    ),
    _workload(
        1,
        "produce 1 KB, batch 1 MB",
        functools.partial(_produce, 1_000_000),
        floor=functools.partial(floor.produce_rate, 1_000_000),
    ),
    _workload(1, "consume 1 KB", _fetch, floor=floor.consume_rate),
    _workload(2, "consume 1 KB", _fetch),
    *(
        _workload(
            nodes,
            "produce one record a request",
            _small,
            by_request=True,
            floor=functools.partial(floor.answer_rate, 64) if nodes == 1 else None,
        )
        for nodes in (1, 2)
    ),
)
