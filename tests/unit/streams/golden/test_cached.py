"""With a cache a table tells fewer updates, in the same order for each key, and ends in the same values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest

from ottla.streams import StreamsBuilder, Text

from .test_golden import FILES
from .topologies import TOPOLOGIES
from .transcript import replay


def by_topic_and_key(lines: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """The answers, without the changelogs, which have what the cache writes, and without tombstones of what
    was not there: a cache tells none, in Java either."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in lines:
        if line.startswith("< ") and "-changelog" not in line:
            topic, key, value = line[2:].split(" ", 2)
            told = value.rpartition(" @")[0]
            if told != "~" or (topic, key) in found:
                found[topic, key].append(told)
    return found


def is_subsequence(some: list[str], of: list[str]) -> bool:
    rest = iter(of)
    return all(each in rest for each in some)


@pytest.mark.parametrize("name", FILES)
def test_what_is_left_out_is_overtaken(name: str) -> None:
    transcript = FILES[name]
    for scenario in transcript.scenarios:
        b = StreamsBuilder(default_key=Text(), default_value=Text())
        TOPOLOGIES[name](b)
        cached = by_topic_and_key(
            replay(transcript, scenario, b.build(), statestore_cache_max_bytes=10_000_000)
        )
        plain = by_topic_and_key(scenario.lines)
        for key, values in plain.items():
            assert is_subsequence(cached[key], values), (scenario.title, key, cached[key], values)
            assert cached[key][-1:] == values[-1:], (scenario.title, key)
        assert cached.keys() == plain.keys(), scenario.title
