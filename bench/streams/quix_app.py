"""The work by Quix Streams, by functions for each record."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows.aggregations import Count, Sum

from bench.streams.task import COMMIT_MS, LEAST_AMOUNT, USERS, WINDOW_MS, Done, Task, measured, tell


class _Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self, _topic: str, _partition: int, _offset: int) -> None:
        self.count += 1


def main(task: Task) -> None:
    """Run it."""
    seen = _Counter()
    app = Application(
        broker_address=task.address,
        consumer_group=task.application,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_MS / 1000,
        state_dir=task.state,
        loglevel="WARNING",
        on_message_processed=seen.add,
    )
    if task.job == "restore":
        _restore(app, task)
        return
    if task.job == "table":
        _users(app, task).apply(_keep, stateful=True)
        measured(task, lambda: seen.count, app.run, app.stop)
        return
    orders = app.topic(task.orders, key_deserializer="str", value_deserializer="json")
    out = app.topic(task.out, key_serializer="str", value_serializer="json")
    JOBS[task.job](app, app.dataframe(orders), task).to_topic(out)
    besides = USERS if task.job.startswith("join") else 0
    measured(task, lambda: seen.count - besides, app.run, app.stop)


def _restore(app: Application, task: Task) -> None:
    """A record more has been written, which is processed when the state is there."""
    began, cpu_s = time.monotonic(), time.process_time()
    is_told = []

    def first(user: Any, _state: Any) -> Any:
        if not is_told:
            is_told.append(True)
            tell(Done(task.records, time.process_time() - cpu_s, time.monotonic() - began))
            app.stop()
        return user

    _users(app, task).apply(first, stateful=True)
    app.run()


def _users(app: Application, task: Task) -> Any:
    return app.dataframe(app.topic(task.users, key_deserializer="str", value_deserializer="json"))


def _keep(user: Any, state: Any) -> Any:
    state.set("user", user)
    return user


def _filter(_app: Application, frame: Any, _task: Task) -> Any:
    kept = frame.filter(lambda order: order["amount"] >= LEAST_AMOUNT)
    return kept.apply(lambda order: {"user": order["user"], "double": order["amount"] * 2})


def _window(_app: Application, frame: Any, _task: Task) -> Any:
    windows = frame.tumbling_window(timedelta(milliseconds=WINDOW_MS))
    return windows.agg(n=Count(), total=Sum("amount")).current()


def _join(app: Application, frame: Any, task: Task) -> Any:
    def joined(order: Any, user: Any) -> Any:
        return {**order, "city": None if user is None else user["city"]}

    return frame.join_asof(_users(app, task), how="left", on_merge=joined)


JOBS = {"filter": _filter, "window": _window, "join": _join}

if __name__ == "__main__":
    main(Task.given())
