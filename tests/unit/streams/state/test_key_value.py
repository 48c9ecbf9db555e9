"""Key-value stores: a dict, whatever lies below and however much is cached."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.streams.state.context import Environment, FakeTask

from ottla.streams.errors import SerializationError
from ottla.streams.records import ValueAndTimestamp
from ottla.streams.serdes import Long, Text
from ottla.streams.state.builders import (
    key_value_store,
    list_store,
    timestamped_key_value_store,
)
from ottla.streams.state.stack import StoreOptions, peeked

KEYS = st.text(alphabet="ab\0\x7f", max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 99)),
        st.tuples(st.just("delete"), KEYS, st.none()),
        st.tuples(st.just("put_if_absent"), KEYS, st.integers(0, 99)),
        st.tuples(st.just("flush"), st.none(), st.none()),
        st.tuples(st.just("scan"), KEYS, KEYS),
    ),
    max_size=60,
)


def built(task: FakeTask, environment: Environment, **options: Any) -> Any:
    return key_value_store("s", Text(), Long(), StoreOptions(**options)).build(task, environment)


def in_order(model: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(model.items(), key=lambda pair: pair[0].encode())


@given(STEPS, st.sampled_from([0, 500, 10**6]))
@settings(max_examples=200)
def test_a_store_is_a_dict(steps: list[tuple[str, Any, Any]], cache: int) -> None:
    task, environment = FakeTask(), Environment(cache_max_bytes=cache)
    store = built(task, environment)
    model: dict[str, int] = {}
    for time, (step, key, value) in enumerate(steps):
        task.at(time)
        if step == "put":
            store.put(key, value)
            model[key] = value
        elif step == "delete":
            assert store.delete(key) == model.pop(key, None)
        elif step == "put_if_absent":
            assert store.put_if_absent(key, value) == model.get(key)
            model.setdefault(key, value)
        elif step == "flush":
            store.flush()
        else:
            inside = [(k, v) for k, v in in_order(model) if key.encode() <= k.encode() <= value.encode()]
            assert list(store.range(key, value)) == inside
            assert list(store.reverse_range(key, value)) == inside[::-1]
        assert store.get_many(["a", "b", "ab"]) == [model.get(k) for k in ("a", "b", "ab")]
    assert list(store.all()) == in_order(model)
    assert list(store.reverse_all()) == in_order(model)[::-1]
    store.flush()
    assert store.approximate_num_entries() == len(model)
    restored = built(FakeTask(), Environment())
    restored.restore(task.changes)
    assert list(restored.all()) == in_order(model)
    if environment.cache:
        store.close()
        assert environment.cache.used == 0


@given(STEPS)
def test_the_listener_hears_the_last_of_each_key_and_what_was_there(
    steps: list[tuple[str, Any, Any]],
) -> None:
    task, environment = FakeTask(), Environment(cache_max_bytes=10**6)
    store = built(task, environment)
    told: dict[str, Any] = {}

    def listen(key: str, new: int | None, old: int | None, timestamp: int) -> None:
        assert told.get(key) == old
        assert store.get(key) == new
        assert task.record_context is not None
        assert task.record_context.timestamp == timestamp
        told[key] = new

    assert store.set_flush_listener(listen, send_old_values=True)
    for time, (step, key, value) in enumerate(steps):
        task.at(time)
        if step == "put":
            store.put(key, value)
        elif step == "delete":
            store.delete(key)
        elif step == "flush":
            store.flush()
            assert [(k, v) for k, v in sorted(told.items()) if v is not None] == sorted(store.all())
    assert task.flushing is None


def test_a_cache_writes_what_came_last_with_its_own_time() -> None:
    task = FakeTask()
    store = built(task, Environment(cache_max_bytes=10**6))
    task.at(1)
    store.put("a", 1)
    task.at(2)
    store.put("b", 2)
    task.at(3)
    store.put("a", 3)
    task.at(99)
    assert task.changes == []
    store.flush()
    assert task.changes == [(b"b", Long().serialize("", 2), 2), (b"a", Long().serialize("", 3), 3)]


def test_what_came_and_went_in_the_cache_is_told_to_nobody() -> None:
    task = FakeTask()
    store = built(task, Environment(cache_max_bytes=10**6))
    store.set_flush_listener(lambda *change: pytest.fail(str(change)), send_old_values=False)
    store.put("a", 1)
    store.delete("a")
    store.flush()
    assert task.changes == []


def test_a_full_cache_lets_go() -> None:
    task = FakeTask()
    environment = Environment(cache_max_bytes=2_000)
    store = built(task, environment)
    for number in range(1_000):
        store.put(f"{number}", number)
        assert environment.cache is not None
        assert environment.cache.used <= 2_000
    assert len(task.changes) > 900
    assert [store.get(f"{number}") for number in range(1_000)] == list(range(1_000))


def test_a_listener_that_writes_to_the_store_is_heard() -> None:
    task = FakeTask()
    store = built(task, Environment(cache_max_bytes=10**6))

    def listen(key: str, new: int | None, old: int | None, timestamp: int) -> None:
        if new is not None and new < 3:
            store.put(key, new + 1)

    store.set_flush_listener(listen, send_old_values=False)
    store.put("a", 0)
    store.flush()
    assert store.get("a") == 3
    assert [change[1] for change in task.changes] == [Long().serialize("", n) for n in range(4)]


def test_without_a_cache_nobody_is_told() -> None:
    assert not built(FakeTask(), Environment()).set_flush_listener(lambda *_: None, send_old_values=True)


def test_without_logging_there_is_no_changelog() -> None:
    task = FakeTask()
    built(task, Environment(), logging=False).put("a", 1)
    assert task.changes == []


def test_null_keys_are_refused() -> None:
    with pytest.raises(SerializationError, match="null keys"):
        built(FakeTask(), Environment()).put(None, 1)


def test_prefixes_are_of_bytes() -> None:
    store = built(FakeTask(), Environment())
    store.put_all([("a", 1), ("ab", 2), ("b", 3)])
    assert list(store.prefix_scan(b"a")) == [("a", 1), ("ab", 2)]
    assert list(store.prefix_scan(b"")) == [("a", 1), ("ab", 2), ("b", 3)]


def test_a_timestamped_store_has_the_time_first_and_its_changelog_in_the_record() -> None:
    task, environment = FakeTask(), Environment()
    builder = timestamped_key_value_store("s", Text(), Text())
    store: Any = builder.build(task, environment)
    task.at(7)
    store.put("k", ValueAndTimestamp("v", 5))
    store.put("k", None)
    store.put("l", ValueAndTimestamp("w", 6))
    assert environment.kept.get(b"l") == b"\0\0\0\0\0\0\0\x06w"
    assert task.changes == [(b"k", b"v", 5), (b"k", None, 7), (b"l", b"w", 6)]
    restored: Any = builder.build(FakeTask(), Environment())
    restored.restore(task.changes)
    assert list(restored.all()) == [("l", ValueAndTimestamp("w", 6))]


def test_lists_keep_all_values_of_a_key() -> None:
    task, environment = FakeTask(), Environment()
    builder = list_store("s", Text(), Text())
    store: Any = builder.build(task, environment)
    store.put("a", "1")
    store.put("b", "2")
    store.put("a", "3")
    assert list(store.all()) == [("a", "1"), ("a", "3"), ("b", "2")]
    assert store.get("a") == ["1", "3"]
    assert task.changes[-1][1] == bytes.fromhex("010000000200000001310000000133")
    restored: Any = builder.build(FakeTask(), Environment())
    restored.restore(task.changes)
    assert list(restored.all()) == list(store.all())
    store.put("a", None)
    assert list(store.range("a", "b")) == [("b", "2")]


def test_what_was_read_during_a_restore_is_read_again() -> None:
    environment = Environment(cache_max_bytes=10**6)
    store = built(FakeTask(), environment)
    writer = FakeTask()
    source = built(writer, Environment())
    source.put("a", 1)
    source.put("a", 2)
    first, second = writer.changes
    store.restore([first])
    assert store.get("a") == 1
    store.restore([second])
    assert store.get("a") == 2


def test_who_asks_from_outside_leaves_the_cache_as_it_is() -> None:
    task, environment = FakeTask(), Environment(cache_max_bytes=500)
    store = built(task, environment)
    budget = environment.cache
    assert budget is not None
    for time, key in enumerate("abcdef"):
        task.at(time)
        store.put(key, time)
    entries, used, sent = list(store.cached._entries), budget.used, list(task.changes)
    with peeked(store):
        assert [store.get(key) for key in "abcdefg"] == [*range(6), None]
        assert len(list(store.all())) == 6
    assert (list(store.cached._entries), budget.used, task.changes) == (entries, used, sent)
    assert store.get("a") == 0
    assert list(store.cached._entries)[-1] == b"a"


def test_nothing_is_put_where_the_log_cannot_be_made() -> None:
    task = FakeTask()
    store = built(task, Environment())

    def no_log() -> Any:
        raise ValueError("no column")

    with pytest.raises(ValueError, match="no column"):
        store.put_together([b"a"], [(1).to_bytes(8)], [None], no_log)
    assert store.get("a") is None
    assert task.changes == []
