"""Versioned stores: what a key had at any time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.streams.state.context import Environment, FakeTask

from ottla.streams.serdes import Long, Text
from ottla.streams.state.builders import versioned_store
from ottla.streams.state.stores import NOT_PUT, VALID_TO_UNDEFINED, VersionedRecord

HISTORY = 50
KEYS = st.text(alphabet="a\0", max_size=2)
BUILDER = versioned_store("v", Text(), Long(), HISTORY)


@given(st.lists(st.tuples(KEYS, st.integers(0, 200), st.none() | st.integers(0, 9)), max_size=40), KEYS)
def test_a_key_has_what_was_put_last_before_a_time(
    steps: list[tuple[str, int, int | None]], key: str
) -> None:
    task = FakeTask()
    store: Any = BUILDER.build(task, Environment(cache_max_bytes=1_000))
    model: dict[str, dict[int, int | None]] = {}
    newest = -1
    for name, timestamp, value in steps:
        newest = max(newest, timestamp)
        result = store.put(name, value, timestamp)
        if timestamp < newest - HISTORY:
            assert result == NOT_PUT
            continue
        versions = model.setdefault(name, {})
        versions[timestamp] = value
        assert result == min((at for at in versions if at > timestamp), default=VALID_TO_UNDEFINED)
    versions = model.get(key, {})
    latest = max(versions, default=None)
    assert store.get(key) == _record(versions, latest)
    restored: Any = BUILDER.build(FakeTask(), Environment())
    restored.restore(task.changes)
    for asked in range(max(newest - HISTORY, 0), newest + 2):
        at = max((at for at in versions if at <= asked), default=None)
        assert store.get_as_of(key, asked) == restored.get_as_of(key, asked) == _record(versions, at)


def _record(versions: dict[int, int | None], at: int | None) -> VersionedRecord[int] | None:
    value = None if at is None else versions[at]
    if at is None or value is None:
        return None
    return VersionedRecord(value, at, min((later for later in versions if later > at), default=None))


def test_history_ends_but_the_newest_value_stays() -> None:
    environment = Environment()
    store: Any = BUILDER.build(FakeTask(), environment)
    for timestamp in range(0, 1_000, 10):
        store.put("k", timestamp, timestamp)
    assert environment.kept.approximate_count() <= HISTORY // 10 + 2
    store.put("other", 1, 5_000)
    assert store.get_as_of("k", 6_000) == VersionedRecord(990, 990)
    assert store.get_as_of("k", 985) is None


def test_deleting_gives_what_was_there_then() -> None:
    store: Any = BUILDER.build(FakeTask(), Environment())
    store.put("k", 1, 10)
    store.put("k", 2, 20)
    assert store.delete("k", 15) == VersionedRecord(1, 10, 20)
    assert store.get_as_of("k", 16) is None
    assert store.get_as_of("k", 12) == VersionedRecord(1, 10, 15)
    assert store.get("k") == VersionedRecord(2, 20)


def test_the_changelog_keeps_versions_until_they_are_history() -> None:
    assert BUILDER.changelog_config() == {"cleanup.policy": "compact", "min.compaction.lag.ms": "86400050"}
