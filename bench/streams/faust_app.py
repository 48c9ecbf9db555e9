"""The work by Faust (faust-streaming), by functions for each record."""

from __future__ import annotations

import contextlib
import os
from typing import Any

os.environ["FAUST_LOOP"] = "aio"

import faust

from bench.streams.task import COMMIT_MS, LEAST_AMOUNT, USERS, WINDOW_MS, Task, measured


def main(task: Task) -> None:
    """Run it."""
    app = faust.App(
        task.application,
        broker=f"kafka://{task.address}",
        datadir=task.state,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=COMMIT_MS / 1000,
        topic_partitions=4,
        web_enabled=False,
        value_serializer="json",
        key_serializer="raw",
    )
    orders, out = app.topic(task.orders), app.topic(task.out)
    seen = [0]
    JOBS[task.job](app, orders, out, task, seen)
    worker = faust.Worker(app, loglevel="error")

    def stop() -> None:
        worker.loop.call_soon_threadsafe(worker._shutdown.set)  # noqa: SLF001 # as its signal handlers do

    besides = USERS if task.job == "join" else 0

    def run() -> None:
        with contextlib.suppress(SystemExit):
            worker.execute_from_commandline()

    measured(task, lambda: seen[0] - besides, run, stop)


def _filter(app: Any, orders: Any, out: Any, _task: Task, seen: list[int]) -> None:
    @app.agent(orders)
    async def filtering(stream: Any) -> None:
        async for key, order in stream.items():
            seen[0] += 1
            if order["amount"] >= LEAST_AMOUNT:
                await out.send(key=key, value={"user": order["user"], "double": order["amount"] * 2})


def _window(app: Any, orders: Any, out: Any, _task: Task, seen: list[int]) -> None:
    table = app.Table("totals", default=int, key_type=str, value_type=int).tumbling(WINDOW_MS / 1000)

    @app.agent(orders)
    async def summing(stream: Any) -> None:
        async for key, order in stream.items():
            seen[0] += 1
            table[order["user"]] += order["amount"]
            await out.send(key=key, value={"total": table[order["user"]].current()})


def _join(app: Any, orders: Any, out: Any, task: Task, seen: list[int]) -> None:
    table = app.Table("users", key_type=str)

    @app.agent(app.topic(task.users))
    async def keeping(stream: Any) -> None:
        async for user in stream:
            seen[0] += 1
            table[user["user"]] = user

    @app.agent(orders)
    async def joining(stream: Any) -> None:
        async for key, order in stream.items():
            seen[0] += 1
            user = table.get(order["user"])
            await out.send(key=key, value={**order, "city": None if user is None else user["city"]})


JOBS = {"filter": _filter, "window": _window, "join": _join}

if __name__ == "__main__":
    main(Task.given())
