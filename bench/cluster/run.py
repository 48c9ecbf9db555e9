"""`python -m bench cluster`: three Ottla brokers beside three of Apache Kafka, in turn, round after round."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from bench.cluster import measure, systems
from bench.cluster.measure import Row
from bench.cluster.systems import System
from bench.kafka.install import KafkaUnavailableError, install
from ottla.testing.etcd import find_etcd


def main(given: list[str]) -> int:
    """Print the medians, and Ottla's in relation to Kafka's."""
    parser = argparse.ArgumentParser(prog="python -m bench cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=300, help="that a round produces")
    parser.add_argument("--seconds", type=int, default=10, help="for which a round measures latency")
    parser.add_argument("--warm", type=float, default=60, metavar="SECONDS", help="of load before each round")
    parser.add_argument("--kafka", metavar="VERSION", help="release to fetch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    parser.add_argument("what", nargs="*", help="throughput, latency, failover, shutdown (default: all)")
    options = parser.parse_args(given)
    parts: dict[str, Callable[[System], Row]] = {
        "throughput": lambda system: measure.throughput(system, options.megabytes),
        "latency": lambda system: measure.latency(system, options.seconds),
        "shutdown": measure.shutdown,
        "failover": measure.failover,
    }
    if unknown := set(options.what) - parts.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if find_etcd() is None:
        print("Ottla's cluster needs etcd: in PATH, or by pip install ./packages/ottla-etcd", file=sys.stderr)
        return 1
    starts: dict[str, Callable[[], contextlib.AbstractContextManager[System]]] = {"ottla": systems.ottla}
    try:
        starts["kafka"] = functools.partial(systems.kafka, install(options.kafka))
    except KafkaUnavailableError as reason:
        print(f"Apache Kafka is left out: {reason}", file=sys.stderr)
    samples: dict[str, list[Row]] = {name: [] for name in starts}
    for number in range(options.rounds):
        for name in list(starts)[:: -1 if number % 2 else 1]:
            with starts[name]() as system:
                measure.warm(system, options.warm)
                row: Row = {}
                for part, run in parts.items():
                    if not options.what or part in options.what:
                        row |= run(system)
                samples[name].append(row)
                print(f"round {number + 1}, {name}: {row}", file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(samples, indent=2))
    print(table(samples))
    return 0


def table(samples: dict[str, list[Row]]) -> str:
    """A line for each metric: the medians, and the first system's in relation to the second's."""
    medians = {
        name: {metric: statistics.median(row[metric] for row in rows) for metric in rows[0]}
        for name, rows in samples.items()
    }
    first, *rest = medians
    lines = [f"{'':32}" + "".join(f"{name:>12}" for name in medians) + f"{'ratio':>10}" * len(rest)]
    for metric, value in medians[first].items():
        line = f"{metric:32}" + "".join(f"{found[metric]:12.2f}" for found in medians.values())
        for name in rest:
            other = medians[name][metric]
            line += f"{value / other:10.2f}" if other else f"{'':10}"
        lines.append(line)
    return "\n".join(lines)
