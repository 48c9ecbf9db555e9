"""The work by Ottla: by expressions, or by functions of Python for each record."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa

from bench.streams.task import COMMIT_MS, LEAST_AMOUNT, USERS, WINDOW_MS, Done, Task, measured, tell
from ottla.streams import (
    Json,
    Long,
    Store,
    Streams,
    StreamsBuilder,
    Text,
    TimeWindowedSerde,
    TimeWindows,
    col,
    count,
)

ORDER = pa.schema([("user", pa.string()), ("amount", pa.int64())])


def main(task: Task) -> None:
    """Run it."""
    builder = StreamsBuilder(Text(), Json())
    JOBS[task.job](builder, task)
    app = Streams(
        builder.build(),
        application_id=task.application,
        bootstrap_servers=task.address,
        state_dir=task.state,
        statestore_cache_max_bytes=task.cache,
        commit_interval_ms=COMMIT_MS,
    )
    if task.job == "restore":
        _restore(app, task)
        return
    measured(
        task,
        lambda: _total(app, "processed") - (USERS if task.job.startswith("join") else 0),
        lambda: app.start().wait(),
        app.close,
    )


def _total(app: Streams, what: str) -> int:
    return sum(each[what] for each in app.metrics().values())


def _restore(app: Streams, task: Task) -> None:
    cpu_s, began = time.process_time(), time.monotonic()
    app.start()
    while _total(app, "restored") < task.records:
        time.sleep(0.02)
    done = Done(task.records, time.process_time() - cpu_s, time.monotonic() - began)
    app.close()
    tell(done)


def _orders(b: StreamsBuilder, task: Task) -> Any:
    return b.stream(task.orders, Text(), Json(ORDER))


def _filter(b: StreamsBuilder, task: Task) -> None:
    kept = _orders(b, task).filter(col("amount") >= LEAST_AMOUNT)
    kept.map_values({"user": col("user"), "double": col("amount") * 2}).to(task.out)


def _filter_by_functions(b: StreamsBuilder, task: Task) -> None:
    kept = _orders(b, task).filter(lambda _, order: order["amount"] >= LEAST_AMOUNT)
    kept.map_values(lambda order: {"user": order["user"], "double": order["amount"] * 2}).to(task.out)


def _windows(b: StreamsBuilder, task: Task) -> Any:
    return _orders(b, task).group_by_key().windowed_by(TimeWindows.of(WINDOW_MS))


def _window(b: StreamsBuilder, task: Task) -> None:
    totals = _windows(b, task).aggregate(
        {"n": count(), "total": col("amount").sum()}, materialized=Store("totals")
    )
    totals.to_stream().to(task.out, TimeWindowedSerde(Text(), WINDOW_MS), Json())


def _window_by_functions(b: StreamsBuilder, task: Task) -> None:
    totals = _windows(b, task).aggregate(
        int, lambda _, order, total: total + order["amount"], materialized=Store("totals", value=Long())
    )
    totals.to_stream().to(task.out, TimeWindowedSerde(Text(), WINDOW_MS), Long())


def _join(b: StreamsBuilder, task: Task) -> None:
    users = b.table(task.users, Text(), Json(), materialized=Store("users"))
    joined = {"user": col("left.user"), "amount": col("left.amount"), "city": col("right.city")}
    _orders(b, task).join(users, joined).to(task.out)


def _join_by_functions(b: StreamsBuilder, task: Task) -> None:
    users = b.table(task.users, Text(), Json(), materialized=Store("users"))
    _orders(b, task).join(users, lambda order, user: {**order, "city": user["city"]}).to(task.out)


def _table(b: StreamsBuilder, task: Task) -> None:
    b.table(task.users, Text(), Json(), materialized=Store("users")).filter(lambda *_: False).to_stream().to(
        task.out
    )


JOBS = {
    "filter": _filter,
    "filter by functions": _filter_by_functions,
    "window": _window,
    "window by functions": _window_by_functions,
    "join": _join,
    "join by functions": _join_by_functions,
    "table": _table,
    "restore": _table,
}
if __name__ == "__main__":
    main(Task.given())
