"""Window and session stores: what was put and is not too old, found by key and by time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.streams.state.context import Environment, FakeTask

from ottla.streams.errors import StateStoreError
from ottla.streams.records import ValueAndTimestamp, Window, Windowed
from ottla.streams.serdes import Long, Text
from ottla.streams.state.builders import session_store, window_store
from ottla.streams.state.stack import StoreOptions

KEYS = st.text(alphabet="ab\0\x7f", max_size=3)
TIMES = st.integers(0, 400_000)
RETENTION = 150_000
LAYOUTS = [{}, {"time_ordered": True}, {"options": StoreOptions(kind="memory")}]


def windows(task: FakeTask, environment: Environment, **more: Any) -> Any:
    builder = window_store("w", Text(), Long(), retention=RETENTION, window_size=1_000, **more)
    return builder.build(task, environment)


def by_key_and_time(pairs: Any) -> list[Any]:
    return sorted(pairs, key=lambda pair: (pair[0].key.encode(), pair[0].window, pair[1]))


@pytest.mark.parametrize("layout", LAYOUTS, ids=["default", "by time", "memory"])
@pytest.mark.parametrize("cache", [0, 600, 10**6])
@given(steps=st.lists(st.tuples(KEYS, TIMES, st.none() | st.integers(0, 9)), max_size=40), asked=st.data())
@settings(max_examples=60, deadline=None)
def test_windows_are_found_until_they_are_too_old(
    layout: dict[str, Any], cache: int, steps: list[tuple[str, int, int | None]], asked: st.DataObject
) -> None:
    task, environment = FakeTask(), Environment(cache_max_bytes=cache)
    store = windows(task, environment, **layout)
    model: dict[tuple[str, int], int] = {}
    newest = -1
    for key, start, value in steps:
        task.at(start)
        store.put(key, value, start)
        newest = max(newest, start)
        model.pop((key, start), None)
        if value is not None:
            model[key, start] = value
        model = {place: v for place, v in model.items() if place[1] > newest - RETENTION}
    expected = [(Windowed(key, Window(at, at + 1_000)), value) for (key, at), value in model.items()]
    assert by_key_and_time(store.all()) == by_key_and_time(expected)
    assert list(store.backward_all()) == list(store.all())[::-1]
    key, low, high = asked.draw(KEYS), asked.draw(TIMES), asked.draw(TIMES)
    of_key = sorted((at, v) for (k, at), v in model.items() if k == key and low <= at <= high)
    assert list(store.fetch_range(key, low, high)) == of_key
    assert list(store.backward_fetch_range(key, low, high)) == of_key[::-1]
    assert by_key_and_time(store.fetch_all(low, high)) == by_key_and_time(
        pair for pair in expected if low <= pair[0].window.start <= high
    )
    first, last = asked.draw(st.none() | KEYS), asked.draw(st.none() | KEYS)
    between = list(store.fetch_keys(first, last, low, high))
    assert by_key_and_time(between) == by_key_and_time(
        pair
        for pair in expected
        if low <= pair[0].window.start <= high
        and (first is None or pair[0].key.encode() >= first.encode())
        and (last is None or pair[0].key.encode() <= last.encode())
    )
    assert list(store.backward_fetch_keys(first, last, low, high)) == between[::-1]
    assert store.fetch_many(list(model)) == [store.fetch(*place) for place in model] == list(model.values())
    store.flush()
    restored = windows(FakeTask(), Environment(), **layout)
    restored.restore(task.changes)
    assert list(restored.all()) == list(store.all())


@pytest.mark.parametrize("layout", LAYOUTS, ids=["default", "by time", "memory"])
@given(
    steps=st.lists(st.tuples(KEYS, TIMES, st.integers(0, 5_000), st.none() | st.integers(0, 9)), max_size=40),
    asked=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_sessions_are_found_until_they_are_too_old(
    layout: dict[str, Any], steps: list[tuple[str, int, int, int | None]], asked: st.DataObject
) -> None:
    task = FakeTask()
    builder = session_store("s", Text(), Long(), retention=RETENTION, **layout)
    store: Any = builder.build(task, Environment(cache_max_bytes=asked.draw(st.sampled_from([0, 10**6]))))
    model: dict[Windowed[str], int] = {}
    newest = -1
    for key, start, length, value in steps:
        session = Windowed(key, Window(start, start + length))
        newest = max(newest, session.window.end)
        model.pop(session, None)
        if value is None:
            store.remove(session)
        else:
            store.put(session, value)
            model[session] = value
        model = {s: v for s, v in model.items() if s.window.end > newest - RETENTION}
    assert by_key_and_time(store.fetch_keys(None, None)) == by_key_and_time(model.items())
    key, earliest_end, latest_start = asked.draw(KEYS), asked.draw(TIMES), asked.draw(TIMES)
    expected = [
        (s, v)
        for s, v in model.items()
        if s.key == key and s.window.end >= earliest_end and s.window.start <= latest_start
    ]
    found = list(store.find_sessions(key, earliest_end, latest_start))
    assert found == sorted(expected, key=lambda pair: (pair[0].window.end, pair[0].window.start))
    assert list(store.backward_fetch(key)) == list(store.fetch(key))[::-1]
    for session, value in model.items():
        assert store.fetch_session(session.key, *session.window) == value
    closed = [
        (session, value)
        for session, value in store.find_closed_sessions(earliest_end, latest_start)
        if session.window.end > newest - RETENTION  # older ones are there until their segment is dropped
    ]
    assert by_key_and_time(closed) == by_key_and_time(
        pair for pair in model.items() if earliest_end <= pair[0].window.end <= latest_start
    )
    store.flush()
    restored: Any = builder.build(FakeTask(), Environment())
    restored.restore(task.changes)
    assert list(restored.fetch_keys(None, None)) == list(store.fetch_keys(None, None))


def test_the_order_of_all_is_that_of_the_layout() -> None:
    found = []
    for layout in LAYOUTS:
        store = windows(FakeTask(), Environment(), **layout)
        for key, start in [("b", 0), ("a", 2), ("a", 1), ("c", 80_000), ("a", 76_000)]:
            store.put(key, 1, start)
        found.append([(w.key, w.window.start) for w, _ in store.all()])
    # Java's RocksDB: segment (here of 75 s), key, time.
    assert found[0] == [("a", 1), ("a", 2), ("b", 0), ("a", 76_000), ("c", 80_000)]
    assert found[1] == found[2] == [("b", 0), ("a", 1), ("a", 2), ("a", 76_000), ("c", 80_000)]


def test_keys_in_the_changelog_are_javas() -> None:
    task = FakeTask()
    windows(task, Environment()).put("k", 1, 5)
    sessions: Any = session_store("s", Text(), Long(), retention=RETENTION).build(task, Environment())
    sessions.put(Windowed("k", Window(5, 9)), 1)
    assert [change[0].hex() for change in task.changes] == [
        "6b000000000000000500000000",
        "6b00000000000000090000000000000005",
    ]


def test_duplicates_are_kept_and_cannot_be_deleted() -> None:
    task = FakeTask()
    store = windows(task, Environment(cache_max_bytes=10**6), retain_duplicates=True)
    store.put("k", 1, 5)
    store.put("k", 2, 5)
    store.put("k", None, 5)
    assert list(store.fetch_range("k", 0, 10)) == [(5, 1), (5, 2)]
    assert [change[0][-4:] for change in task.changes] == [b"\0\0\0\1", b"\0\0\0\2"]
    assert not store.set_flush_listener(lambda *_: None, send_old_values=False)


def test_expired_records_are_counted_and_not_logged() -> None:
    task = FakeTask()
    store = windows(task, Environment(), options=StoreOptions(kind="memory"))
    store.put("k", 1, RETENTION)
    store.put("k", 2, 0)
    assert (task.dropped, len(task.changes)) == (1, 1)


def test_segments_are_dropped_from_the_bytes() -> None:
    environment = Environment()
    store = windows(FakeTask(), environment)
    for start in range(0, 1_000_000, 10_000):
        store.put("k", 1, start)
    assert environment.kept.approximate_count() <= (RETENTION + 75_000) // 10_000 + 1


def test_what_expires_in_the_cache_is_told_first() -> None:
    task = FakeTask()
    store = windows(task, Environment(cache_max_bytes=10**6))
    told = []
    store.set_flush_listener(lambda *change: told.append(change), send_old_values=False)
    store.put("k", 1, 0)
    store.put("k", 2, 10 * RETENTION)
    assert [(change[0].window.start, change[1]) for change in told] == [(0, 1)]


def test_timestamped_windows() -> None:
    task = FakeTask()
    store = windows(task, Environment(), timestamped=True)
    store.put("k", ValueAndTimestamp(1, 7), 5)
    assert store.fetch("k", 5) == ValueAndTimestamp(1, 7)
    assert task.changes[0][1:] == (Long().serialize("", 1), 7)


def test_times_may_be_aware() -> None:
    store = windows(FakeTask(), Environment())
    store.put("k", 1, 1_000)
    at = datetime.fromtimestamp(1, UTC)
    assert store.fetch("k", at) == 1
    assert list(store.fetch_range("k", at, at)) == [(1_000, 1)]


def test_a_changelog_with_other_keys_is_refused() -> None:
    with pytest.raises(StateStoreError, match="app-w-changelog"):
        windows(FakeTask(), Environment()).restore([(b"short", b"12345678", 0)])


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"retention": 10, "window_size": 11}, "no smaller than its window size"),
        ({"retention": -1, "window_size": 0}, "cannot be negative"),
        ({"retention": 1, "window_size": -1}, "cannot be negative"),
    ],
)
def test_wrong_settings_are_refused(more: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        window_store("w", Text(), Long(), **more)


def test_changelog_topics_are_configured_as_javas() -> None:
    windowed = window_store("w", Text(), Long(), retention=10, window_size=10)
    assert windowed.changelog_config() == {"cleanup.policy": "compact,delete", "retention.ms": "86400010"}
    options = StoreOptions(topic_config={"retention.ms": "5"})
    assert session_store("s", Text(), Long(), retention=1, options=options).changelog_config() == {
        "cleanup.policy": "compact,delete",
        "retention.ms": "5",
    }
