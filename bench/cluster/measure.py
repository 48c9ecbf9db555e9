"""What is measured of a cluster: bytes, latency, and how long partitions pause when a broker goes."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bench import load, rdkafka
from bench.cluster.systems import Node, System
from bench.results import percentile

Row = dict[str, float]

PARTITIONS = 12
_RATE = 1000
_PATIENCE_S = 120.0
_names = itertools.count()


def warm(system: System, seconds: float) -> None:
    """Have it produce and be read for so long: a JVM compiles what it runs often."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        _produce(system, 20_000)
        latency(system, 3)


def throughput(system: System, megabytes: int) -> Row:
    """Records of 1 KB with acks=all; the time is of all processes, for each GB that a replica took."""
    records = megabytes * 1_000_000 // 1024
    _produce(system, records // 5)
    before_s = system.cpu_s()
    done = _produce(system, records)
    _wait_until_in_sync(system)
    return {
        "produce MB/s": megabytes / done.elapsed_s,
        "produce CPU s/GB replicated": (system.cpu_s() - before_s) / (3 * megabytes) * 1000,
        "MB resident": system.resident_mb(),
    }


def _produce(system: System, records: int) -> load.Load:
    task = load.Task(
        system.bootstrap,
        _topic(system),
        PARTITIONS,
        records,
        properties={"acks": "all", "batch.size": 16_384},
    )
    return load.together((rdkafka.produce, task))


def latency(system: System, seconds: int) -> Row:
    """From when a record was due at its producer to when it came at a consumer, 1,000 a second."""
    topic, records = _topic(system), _RATE * seconds
    properties = {"linger.ms": 0, "acks": "all"}
    writing = load.Task(system.bootstrap, topic, PARTITIONS, records, 100, properties, rate=_RATE)
    reading = load.Task(system.bootstrap, topic, PARTITIONS, records, 100)
    before_s = system.cpu_s()
    done = load.together((rdkafka.consume_stamped, reading), (rdkafka.produce_at_rate, writing))
    kept = sorted(done.latencies_ms[records // 5 :])
    return {
        "latency p50 ms": percentile(kept, 50),
        "latency p99 ms": percentile(kept, 99),
        "latency CPU ms/s": (system.cpu_s() - before_s) / done.elapsed_s * 1000,
    }


def failover(system: System) -> Row:
    """SIGKILL of a broker that leads, but is not the controller. Detection is until clients are told of other
    leaders of all its partitions, resumption from then until all have acknowledged a write.
    """
    with _Writing(system) as writing:
        victim, its = _victim(system, writing.topic)
        began_s = time.monotonic()
        victim.kill()
        rest = AdminClient(_client(",".join(n.address for n in system.nodes if n is not victim)))
        _until(lambda: not any(leader in {victim.node_id, -1} for leader in _led(rest, writing.topic, its)))
        detected_s = time.monotonic()
        _until(lambda: writing.have_acknowledged(its, began_s))
        resumed_s = max(writing.first_after(number, began_s) for number in its)
        victim.start()
        _wait_until_in_sync(system)
    return {
        "failover detection s": detected_s - began_s,
        "failover resumption s": max(0.0, resumed_s - detected_s),
        "failover errors": writing.errors.total(),
    }


def shutdown(system: System) -> Row:
    """A broker is stopped in order and started: the longest pause of any of its partitions."""
    with _Writing(system) as writing:
        victim, its = _victim(system, writing.topic)
        began_s = time.monotonic()
        victim.stop()
        _until(lambda: writing.have_acknowledged(its, time.monotonic() - 0.5))
        pause_s = writing.longest_pause(began_s)
        victim.start()
        _wait_until_in_sync(system)
    return {"shutdown pause s": pause_s, "shutdown errors": writing.errors.total()}


class _Writing(threading.Thread):
    """One record for each partition every 20 ms, until the end of the block."""

    def __init__(self, system: System) -> None:
        super().__init__(daemon=True)
        self.topic = _topic(system)
        self.errors: Counter[str] = Counter()
        self._acknowledged: dict[int, list[tuple[float, float]]] = defaultdict(list)
        self._producer = Producer(
            {**_client(system.bootstrap), "enable.idempotence": True, "linger.ms": 0, "acks": "all"}
        )
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        _until(lambda: self.have_acknowledged(range(PARTITIONS), 0))
        time.sleep(2)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        while not self._stopping.is_set():
            for partition in range(PARTITIONS):
                sent_s = time.monotonic()

                def delivered(error: object, message: object, sent_s: float = sent_s) -> None:
                    if error is not None:
                        self.errors[str(error)] += 1
                    else:
                        note = (sent_s, time.monotonic())
                        self._acknowledged[message.partition()].append(note)  # type: ignore[attr-defined]

                self._producer.produce(self.topic, b"x" * 100, partition=partition, on_delivery=delivered)
            self._producer.poll(0.02)
        self._producer.flush(30)

    def first_after(self, partition: int, since_s: float) -> float:
        """When it had something acknowledged that was sent since then."""
        return next(at_s for sent_s, at_s in list(self._acknowledged[partition]) if sent_s >= since_s)

    def have_acknowledged(self, partitions: list[int] | range, since_s: float) -> bool:
        return all(
            any(sent_s >= since_s for sent_s, _ in reversed(list(self._acknowledged[number])))
            for number in partitions
        )

    def longest_pause(self, since_s: float) -> float:
        pauses = [0.0]
        for every in list(self._acknowledged.values()):
            times = [at_s for _, at_s in list(every) if at_s >= since_s - 1]
            pauses += [later - earlier for earlier, later in itertools.pairwise(times)]
        return max(pauses)


def _client(bootstrap: str) -> dict[str, object]:
    return {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
        "retry.backoff.ms": 20,
        "retry.backoff.max.ms": 100,
        "topic.metadata.refresh.fast.interval.ms": 20,
    }


def _topic(system: System) -> str:
    """A new one, whose partitions all have a leader."""
    name = f"bench-{next(_names)}"
    admin = AdminClient(_client(system.bootstrap))
    admin.create_topics([NewTopic(name, PARTITIONS, 3)])[name].result(60)
    _until(lambda: all(leader >= 0 for leader in _led(admin, name, range(PARTITIONS))))
    return name


def _led(admin: AdminClient, topic: str, partitions: list[int] | range) -> list[int]:
    found = admin.list_topics(topic, timeout=20).topics[topic].partitions
    return [found[number].leader if number in found else -1 for number in partitions]


def _victim(system: System, topic: str) -> tuple[Node, list[int]]:
    """Who leads most of the topic and is not its cluster's controller, and what it leads."""
    admin = AdminClient(_client(system.bootstrap))
    controller = admin.describe_cluster().result(20).controller
    led = _led(admin, topic, range(PARTITIONS))
    counts = Counter(leader for leader in led if controller is None or leader != controller.id)
    node_id = counts.most_common(1)[0][0]
    its = [number for number, leader in enumerate(led) if leader == node_id]
    return next(node for node in system.nodes if node.node_id == node_id), its


def _wait_until_in_sync(system: System) -> None:
    admin = AdminClient(_client(system.bootstrap))

    def is_in_sync() -> bool:
        topics = admin.list_topics(timeout=20).topics.values()
        return all(len(p.isrs) == len(p.replicas) for topic in topics for p in topic.partitions.values())

    _until(is_in_sync)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("it did not come to be in time")
        time.sleep(0.005)
