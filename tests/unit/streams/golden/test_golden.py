"""What Kafka Streams does with each scenario, Ottla does: names, records, times, stores and changelogs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest

from ottla.streams import StreamsBuilder, Text

from .topologies import EXPRESSED, TOPOLOGIES
from .transcript import SCENARIOS, Scenario, Transcript, read, replay

FILES = {path.stem: read(path) for path in sorted(SCENARIOS.glob("*.txt"))}


def cases(names: Iterable[str]) -> Iterator[object]:
    for name in names:
        transcript = FILES[name]
        for scenario in transcript.scenarios:
            yield pytest.param(transcript, scenario, id=f"{name}: {scenario.title}")


def builder() -> StreamsBuilder:
    return StreamsBuilder(default_key=Text(), default_value=Text())


def test_every_scenario_has_its_topology() -> None:
    assert FILES.keys() == TOPOLOGIES.keys()
    assert FILES.keys() >= EXPRESSED.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_topology_describes_itself_as_in_java(name: str) -> None:
    b = builder()
    TOPOLOGIES[name](b)
    described = re.sub(r"class: .*\)", "class: ...)", str(b.build().describe()))
    assert [line.rstrip() for line in described.rstrip().split("\n")] == FILES[name].description


@pytest.mark.parametrize(("transcript", "scenario"), list(cases(FILES)))
def test_a_scenario_goes_as_in_java(transcript: Transcript, scenario: Scenario) -> None:
    b = builder()
    TOPOLOGIES[transcript.name](b)
    assert replay(transcript, scenario, b.build()) == scenario.lines


@pytest.mark.parametrize(("transcript", "scenario"), list(cases(EXPRESSED)))
def test_expressions_say_the_same(transcript: Transcript, scenario: Scenario) -> None:
    b = builder()
    EXPRESSED[transcript.name](b)
    assert replay(transcript, scenario, b.build()) == scenario.lines
