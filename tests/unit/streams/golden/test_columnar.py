"""In chunks of any size each topic and store gets what it gets record by record, and from Kafka Streams."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ottla.streams import StreamsBuilder, Text

from .test_golden import FILES
from .topologies import EXPRESSED, TOPOLOGIES
from .transcript import Transcript, by_place, replay_in_batches

SIZES = (1, 2, 3, 7, 100, 10_000)


def _replayed(
    transcript: Transcript, build: Callable[[StreamsBuilder], None], size: int, columnar: int
) -> list[list[str]]:
    found = []
    for scenario in transcript.scenarios:
        b = StreamsBuilder(default_key=Text(), default_value=Text())
        build(b)
        found.append(replay_in_batches(transcript, scenario, b.build(), size, columnar_max_records=columnar))
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_scenario_in_chunks(name: str, request: pytest.FixtureRequest) -> None:
    transcript = FILES[name]
    builds = [TOPOLOGIES[name], *([EXPRESSED[name]] if name in EXPRESSED else [])]
    sizes = SIZES if request.config.getoption("--full") else (1, 3, 10_000)
    for build in builds:
        for size in sizes:
            expected = _replayed(transcript, build, size, 0)
            found = _replayed(transcript, build, size, size)
            for scenario, one, other in zip(transcript.scenarios, expected, found, strict=True):
                assert by_place(other) == by_place(one), (scenario.title, size)
                if size == 1:
                    assert by_place(one) == by_place(scenario.lines), scenario.title
