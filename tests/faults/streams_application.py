"""An application as a process, so that it can be killed: word count, windowed totals, a stream-table join.

Arguments are servers, folder of state, guarantee. It ends when its standard input does.
"""

from __future__ import annotations

import sys
import threading

from ottla.streams import Long, Store, Streams, StreamsBuilder, Text, TimeWindows, Topology, Windowed

APPLICATION = "shop"
WINDOW_MS = 10_000


def windowed(key: Windowed[str], _total: int) -> str:
    return f"{key.key}@{key.window.start}"


def topology() -> Topology:
    """Each update of a count or a total is told, so that one that is counted twice can be seen."""
    b = StreamsBuilder(default_key=Text(), default_value=Text())
    words = b.stream("lines").flat_map_values(lambda line: line.split()).group_by(lambda _, word: word)
    words.count(Store("counts", caching=False)).to_stream().to("counts", value=Long())
    orders = b.stream("orders", value=Long())
    totals = orders.group_by_key(value=Long()).windowed_by(TimeWindows.of(WINDOW_MS, grace="1d"))
    totals.reduce(lambda total, amount: total + amount, Store("totals", caching=False)).to_stream(
        windowed
    ).to("totals", key=Text(), value=Long())
    orders.join(b.table("users", materialized=Store("users", caching=False)), joined, value=Long()).to(
        "joined"
    )
    return b.build()


def joined(order: int, user: str) -> str:
    return f"{order}:{user}"


def application(servers: str, state_dir: str, guarantee: str) -> Streams:
    return Streams(
        topology(),
        application_id=APPLICATION,
        bootstrap_servers=servers,
        state_dir=state_dir,
        processing_guarantee=guarantee,
        commit_interval_ms=100,
        num_stream_threads=2,
        num_standby_replicas=1,
        session_timeout_ms=1_500,
        heartbeat_interval_ms=300,
        probing_rebalance_interval_ms=2_000,
    )


def main(servers: str, state_dir: str, guarantee: str) -> None:
    with application(servers, state_dir, guarantee) as running:
        print("started", flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), running.close()), daemon=True).start()
        running.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
