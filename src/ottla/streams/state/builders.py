"""What a topology says of a store: its kind, its serdes, its changelog topic (Java: StoreBuilder)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ottla.streams.serdes.serde import Serde
from ottla.streams.state.key_value import KeyValue, ListValue, timestamped_key_value
from ottla.streams.state.segments import segment_interval
from ottla.streams.state.session import SessionValues
from ottla.streams.state.stack import InMemory, StoreEnvironment, StoreOptions
from ottla.streams.state.stores import StateStore, StoreContext
from ottla.streams.state.values import TimestampedSerde
from ottla.streams.state.versioned import VersionedValues
from ottla.streams.state.window import WindowValues
from ottla.streams.windows import Duration, milliseconds

ADDITIONAL_RETENTION_MS: Final = 24 * 60 * 60 * 1000
"""What a changelog keeps beyond the retention (windowstore.changelog.additional.retention.ms)."""

DEFAULTS: Final = StoreOptions()
UNCACHED: Final = StoreOptions(caching=False)

# What a serde takes is known to who builds the store, not to who keeps it among others.
_Make = Callable[[str, Serde[Any], Serde[Any], StoreOptions, StoreContext, StoreEnvironment], StateStore]


@dataclass(frozen=True, eq=False)
class StoreBuilder:
    """One store of a topology, made anew for each task."""

    name: str
    key: Serde[Any]
    value: Serde[Any]
    make: _Make
    meaning: str
    """What its bytes depend on beside its serdes, in words."""
    layout: str = ""
    """How they lie on disk, in words."""
    options: StoreOptions = field(default_factory=StoreOptions)
    retention_ms: int | None = None
    """Of windows and sessions."""
    history_retention_ms: int | None = None
    """Of versions."""

    @property
    def logging(self) -> bool:
        return self.options.logging

    def build(self, context: StoreContext, environment: StoreEnvironment | None = None) -> StateStore:
        """Without an environment in memory and without a cache. Raises StateStoreError."""
        return self.make(self.name, self.key, self.value, self.options, context, environment or InMemory())

    def changelog_config(self) -> dict[str, str]:
        """How the leader creates the changelog topic."""
        config = {"cleanup.policy": "compact"}
        if self.retention_ms is not None:
            config["cleanup.policy"] = "compact,delete"
            config["retention.ms"] = str(self.retention_ms + ADDITIONAL_RETENTION_MS)
        elif self.history_retention_ms is not None:
            config["min.compaction.lag.ms"] = str(self.history_retention_ms + ADDITIONAL_RETENTION_MS)
        return config | self.options.topic_config


def key_value_store(
    name: str, key: Serde[Any], value: Serde[Any], options: StoreOptions = DEFAULTS
) -> StoreBuilder:
    """A value for each key."""
    return StoreBuilder(name, key, value, KeyValue, "values by key", options=options)


def timestamped_key_value_store(
    name: str, key: Serde[Any], value: Serde[Any], options: StoreOptions = DEFAULTS
) -> StoreBuilder:
    """A ValueAndTimestamp for each key: what tables are kept in."""
    return StoreBuilder(name, key, value, timestamped_key_value, "timestamped values by key", options=options)


def list_store(
    name: str, key: Serde[Any], value: Serde[Any], options: StoreOptions = UNCACHED
) -> StoreBuilder:
    """Several values for each key."""
    return StoreBuilder(name, key, value, ListValue, "lists by key", options=options)


def versioned_store(
    name: str,
    key: Serde[Any],
    value: Serde[Any],
    history_retention: Duration,
    options: StoreOptions = UNCACHED,
) -> StoreBuilder:
    """All values of a key over its history."""
    history_ms = milliseconds(history_retention, "history_retention")
    if history_ms < 0:
        raise ValueError("historyRetention cannot be negative")

    def make(*parts: Any) -> StateStore:
        return VersionedValues(*parts, history_retention_ms=history_ms)

    return StoreBuilder(name, key, value, make, "versions", options=options, history_retention_ms=history_ms)


def window_store(
    name: str,
    key: Serde[Any],
    value: Serde[Any],
    *,
    retention: Duration,
    window_size: Duration,
    retain_duplicates: bool = False,
    timestamped: bool = False,
    time_ordered: bool = False,
    options: StoreOptions = DEFAULTS,
) -> StoreBuilder:
    """A value for each key and window. `time_ordered`: found by time, not by key (emit on window close)."""
    retention_ms, size_ms = milliseconds(retention, "retention"), milliseconds(window_size, "window_size")
    if retention_ms < 0:
        raise ValueError("retentionPeriod cannot be negative")
    if size_ms < 0:
        raise ValueError("windowSize cannot be negative")
    if size_ms > retention_ms:
        raise ValueError(
            f"The retention period of the window store {name} must be no smaller than its window size. "
            f"Got size=[{size_ms}], retention=[{retention_ms}]"
        )
    if retain_duplicates and options.caching:
        options = replace(options, caching=False)

    def make(
        name: str,
        key: Serde[Any],
        value: Serde[Any],
        options: StoreOptions,
        context: StoreContext,
        environment: StoreEnvironment,
    ) -> StateStore:
        return WindowValues(
            name,
            key,
            TimestampedSerde(value) if timestamped else value,
            options,
            context,
            environment,
            retention_ms=retention_ms,
            window_size_ms=size_ms,
            retain_duplicates=retain_duplicates,
            timestamped=timestamped,
            time_ordered=time_ordered,
        )

    meaning = ("timestamped " if timestamped else "") + "windows" + (" by time" if time_ordered else "")
    layout = "" if time_ordered else _segments(retention_ms)
    return StoreBuilder(name, key, value, make, meaning, layout, options, retention_ms=retention_ms)


def session_store(
    name: str,
    key: Serde[Any],
    value: Serde[Any],
    *,
    retention: Duration,
    time_ordered: bool = False,
    options: StoreOptions = DEFAULTS,
) -> StoreBuilder:
    """A value for each key and session."""
    retention_ms = milliseconds(retention, "retention")
    if retention_ms < 0:
        raise ValueError("retentionPeriod cannot be negative")

    def make(*parts: Any) -> StateStore:
        return SessionValues(*parts, retention_ms=retention_ms, time_ordered=time_ordered)

    meaning = "sessions by time" if time_ordered else "sessions"
    layout = "" if time_ordered else _segments(retention_ms)
    return StoreBuilder(name, key, value, make, meaning, layout, options, retention_ms=retention_ms)


def _segments(retention_ms: int) -> str:
    return f"segments of {segment_interval(retention_ms)} ms"
