"""`python -m bench`: Ottla against the floor, in turn, on this machine.

`python -m bench compare` measures it beside Apache Kafka, `python -m bench diff REV` beside another commit;
`python -m bench page` writes what the first measured. `python -m bench clients` measures Ottla's client
beside others, `python -m bench streams` its streams, `python -m bench cluster` three brokers beside three of
Kafka's, `python -m bench secured` TLS and SASL beside Kafka's, and quotas, `python -m bench connect` its
Connect beside Kafka's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from bench import brokers, footprint, requests, throughput

Row = dict[str, float]


def _in_turn(round_number: int) -> list[Callable[[], AbstractContextManager[brokers.Running]]]:
    """Both brokers, each first in every other round, as what the first leaves behind slows the second."""
    order: list[Callable[[], AbstractContextManager[brokers.Running]]] = [brokers.prototype, brokers.ottla]
    return order[:: -1 if round_number % 2 else 1]


def _throughput(megabytes: int, round_number: int) -> Row:
    row: Row = {}
    for start in _in_turn(round_number):
        os.sync()
        with start() as broker:
            if broker.name == "ottla":
                throughput.create_topic(broker.address)
            throughput.produce(broker.address, megabytes // 10)  # warm up, and create what is made lazily
            cpu_s = broker.cpu_s()
            row[f"{broker.name} produce MB/s"] = throughput.produce(broker.address, megabytes)
            row[f"{broker.name} produce CPU s/GB"] = (broker.cpu_s() - cpu_s) / megabytes * 1000
            cpu_s = broker.cpu_s()
            row[f"{broker.name} consume MB/s"] = throughput.consume(broker.address, megabytes)
            row[f"{broker.name} consume CPU s/GB"] = (broker.cpu_s() - cpu_s) / megabytes * 1000
    return row


def _requests(count: int, round_number: int) -> Row:
    row: Row = {}
    for start in _in_turn(round_number):
        with start() as broker:
            if broker.name == "ottla":
                throughput.create_topic(broker.address, "bench-requests", 1)
            requests.requests_per_second(broker.address, "bench-requests", count=count // 10)
            row[f"{broker.name} requests/s"] = requests.requests_per_second(
                broker.address, "bench-requests", count=count
            )
            median, p99 = requests.latency_us(broker.address, "bench-requests")
            row[f"{broker.name} latency median us"] = median
            row[f"{broker.name} latency p99 us"] = p99
    return row


def _footprint(partitions: int) -> Row:
    found = footprint.measure(partitions)
    return {
        "ottla ready s": found.start_s,
        "ottla idle MB": found.idle_mb,
        f"ottla create {partitions} partitions s": found.create_s,
        f"ottla MB with {partitions} partitions": found.full_mb,
        f"ottla restart with {partitions} partitions s": found.restart_s,
        f"ottla MB after restart with {partitions} partitions": found.restarted_mb,
    }


def _median(rows: list[Row]) -> Row:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _print(title: str, row: Row) -> None:
    print(f"\n{title}")
    for name, value in row.items():
        ratio = ""
        floor = row.get(name.replace("ottla", "prototype")) if name.startswith("ottla") else None
        if floor:
            ratio = f"   {value / floor:.2f} of the floor"
        print(f"  {name:52} {value:12.2f}{ratio}")


def main() -> int:
    """Run what is asked for and print it."""
    if sys.argv[1:2] in (["compare"], ["diff"]):
        from bench import compare

        return compare.main(sys.argv[1], sys.argv[2:])
    if sys.argv[1:2] == ["clients"]:
        from bench.clients import run

        return run.main(sys.argv[2:])
    if sys.argv[1:2] == ["streams"]:
        from bench.streams import run as streams

        return streams.main(sys.argv[2:])
    if sys.argv[1:2] == ["cluster"]:
        from bench.cluster import run as cluster

        return cluster.main(sys.argv[2:])
    if sys.argv[1:2] == ["secured"]:
        from bench import secured

        return secured.main(sys.argv[2:])
    if sys.argv[1:2] == ["connect"]:
        from bench.connect import run as connect

        return connect.main(sys.argv[2:])
    if sys.argv[1:2] == ["page"]:
        from bench import page

        return page.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="*", help="throughput, requests, footprint (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median is shown")
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--requests", type=int, default=160_000)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    parts: dict[str, Callable[[int], Row]] = {
        "throughput": lambda number: _throughput(options.megabytes, number),
        "requests": lambda number: _requests(options.requests, number),
        "footprint": lambda _number: _footprint(options.partitions),
    }
    unknown = set(options.what) - parts.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    results = {
        name: _median([measure(number) for number in range(1 if name == "footprint" else options.rounds)])
        for name, measure in parts.items()
        if not options.what or name in options.what
    }
    if options.json:
        json.dump(results, sys.stdout, indent=2)
        print()
        return 0
    for name, row in results.items():
        _print(name, row)
    return 0


def _run() -> int:
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `... | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(_run())
