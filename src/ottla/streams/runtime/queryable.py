"""Reading an application's state from outside of its threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ottla.streams.errors import StreamsError
from ottla.streams.queries.errors import QueryError
from ottla.streams.queries.questions import Question
from ottla.streams.queries.routed import Answers
from ottla.streams.runtime.protocol import TaskId
from ottla.streams.runtime.work import Phase, Work
from ottla.streams.state.stack import peeked
from ottla.streams.state.stores import StateStore, Time

if TYPE_CHECKING:
    from ottla.streams.runtime.thread import StreamThread


def answers_here(threads: Sequence[StreamThread], asked: Question) -> Answers:
    """What tasks of this instance answer to a question: those that run, and others where they lack no more of
    their state than is allowed."""
    found: dict[int, Any] = {}
    refused = dict.fromkeys(asked.partitions, "the task is not there (any more, or yet)")

    def answer(works: Mapping[TaskId, Work]) -> None:
        for task, work in works.items():
            store = work.task.context.stores.get(asked.store)
            if store is None or task.partition not in refused:
                continue
            lag = work.lag_of(asked.store)
            may = work.phase is Phase.running or (
                asked.max_lag is not None and lag is not None and lag <= asked.max_lag
            )
            if may:
                found[task.partition] = asked.ask(store)
                del refused[task.partition]
            else:
                missing = "not known how many" if lag is None else lag
                refused[task.partition] = f"the task {work.phase.value}, and lacks {missing} records"

    for thread in threads:
        try:
            thread.submit(answer)
        except QueryError:
            raise
        except (StreamsError, TimeoutError) as error:
            refused |= {number: f"{why}; {error}" for number, why in refused.items()}
    return Answers(found, refused)


def lags_here(threads: Sequence[StreamThread]) -> dict[str, dict[int, int]]:
    """By store and partition how many records of the changelog this instance lacks, where it is known."""
    found: dict[str, dict[int, int]] = {}

    def look(works: Mapping[TaskId, Work]) -> None:
        for task, work in works.items():
            for store in work.task.stores:
                lag = work.lag_of(store.name)
                if lag is not None:
                    found.setdefault(store.name, {})[task.partition] = lag

    for thread in threads:
        with contextlib.suppress(StreamsError):  # one that begins (anew) has no tasks yet
            thread.submit(look)
    return found


class QueryableStore:
    """What this instance's tasks have of a store, the active ones and those that follow. Each call is
    answered by the tasks' own threads, between two turns; iterations are answered whole. A value is what the
    topology put there: a table's are ValueAndTimestamp."""

    def __init__(
        self,
        name: str,
        threads: Callable[[], Sequence[StreamThread]],
        global_stores: Mapping[str, StateStore],
    ) -> None:
        self._name = name
        self._threads = threads
        self._global = global_stores.get(name)

    def get(self, key: Any) -> Any:
        return self._first("get", key)

    def range(self, start: Any, end: Any) -> Iterator[Any]:
        return self._each("range", start, end)

    def reverse_range(self, start: Any, end: Any) -> Iterator[Any]:
        return self._each("reverse_range", start, end)

    def prefix_scan(self, prefix: bytes) -> Iterator[Any]:
        return self._each("prefix_scan", prefix)

    def all(self) -> Iterator[Any]:
        return self._each("all")

    def approximate_num_entries(self) -> int:
        return sum(self._ask(lambda store: store.approximate_num_entries()))

    def fetch(self, key: Any, start: Time | None = None, end: Time | None = None) -> Any:
        """Of windows: the value of the one that starts at `start`, or (start, value) of those that start
        between the two. Of sessions, without times: all of the key."""
        if start is None:
            return self._each("fetch", key)
        if end is None:
            return self._first("fetch", key, start)
        return self._each("fetch_range", key, start, end)

    def fetch_all(self, start: Time, end: Time) -> Iterator[Any]:
        return self._each("fetch_all", start, end)

    def fetch_keys(self, key_from: Any, key_to: Any, start: Time, end: Time) -> Iterator[Any]:
        return self._each("fetch_keys", key_from, key_to, start, end)

    def find_sessions(self, key: Any, earliest_end: Time, latest_start: Time) -> Iterator[Any]:
        return self._each("find_sessions", key, earliest_end, latest_start)

    def get_as_of(self, key: Any, timestamp: Time) -> Any:
        return self._first("get_as_of", key, timestamp)

    def _first(self, method: str, *arguments: Any) -> Any:
        answers = self._ask(lambda store: getattr(store, method)(*arguments))
        return next((each for each in answers if each is not None), None)

    def _each(self, method: str, *arguments: Any) -> Iterator[Any]:
        for part in self._ask(lambda store: list(getattr(store, method)(*arguments))):
            yield from part

    def _ask(self, question: Callable[[Any], Any]) -> list[Any]:
        if self._global is not None:
            return [question(self._global)]

        def answer(works: Mapping[TaskId, Work]) -> list[Any]:
            found = []
            for work in works.values():
                store = work.task.context.stores.get(self._name)
                if store is not None:
                    with peeked(store):
                        found.append(question(store))
            return found

        answers = [each for thread in self._threads() for each in thread.submit(answer)]
        if not answers:
            raise StreamsError(f"this instance has nothing of the store {self._name} now")
        return answers
