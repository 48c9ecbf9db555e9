"""The files of `scenarios/`: what goes into a topology and what comes out, as README.md tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from ottla.streams import (
    Bytes,
    Double,
    Json,
    Long,
    Record,
    Serde,
    SessionWindowedSerde,
    Text,
    TimeWindowedSerde,
    TopologyTest,
    ValueAndTimestamp,
    Windowed,
)
from ottla.streams.state.session import SessionValues
from ottla.streams.topology import Topology

SCENARIOS = Path(__file__).parent / "scenarios"
CONFIG = {"application_id": "golden", "statestore_cache_max_bytes": 0}


@dataclass
class Scenario:
    title: str
    lines: list[str] = field(default_factory=list)
    """With the answers"""


@dataclass
class Transcript:
    """One file."""

    name: str
    inputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    outputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    description: list[str] = field(default_factory=list)
    scenarios: list[Scenario] = field(default_factory=list)


def read(path: Path) -> Transcript:
    transcript = Transcript(path.stem)
    for line in path.read_text().splitlines():
        words = line.split(" ")
        if words[0] in {"input", "output"}:
            topics = transcript.inputs if words[0] == "input" else transcript.outputs
            topics[words[1]] = words[2], words[3]
        elif line.startswith("|"):
            transcript.description.append(line[2:])
        elif line.startswith("== "):
            transcript.scenarios.append(Scenario(line[3:]))
        elif line and not line.startswith("#"):
            transcript.scenarios[-1].lines.append(line)
    return transcript


def serde(name: str) -> Serde[object]:
    kind, _, size = name.partition(":")
    made: Mapping[str, object] = {
        "text": Text(),
        "long": Long(),
        "double": Double(),
        "json": Json(),
        "hex": Bytes(),
        "session": SessionWindowedSerde(Text()),
        "windowed": TimeWindowedSerde(Text(), int(size or 1)),
    }
    return made[kind]  # type: ignore[return-value] # of whichever type


def _parsed(kind: str, text: str) -> object:
    if text == "~":
        return None
    if kind == "json":
        return json.loads(text)
    return {"text": str, "long": int, "double": float, "hex": bytes.fromhex}[kind](text)  # type: ignore[operator]


def _printed(value: object) -> str:
    match value:
        case None:
            return "~"
        case Windowed():
            return f"{value.key}@{value.window.start}:{value.window.end}"
        case ValueAndTimestamp():
            return f"{_printed(value.value)} @{value.timestamp}"
        case bytes():
            return value.hex() or "-"
        case dict():
            return json.dumps(value, separators=(",", ":"))
    return str(value)


def _record(words: str) -> tuple[str, str, str, int, tuple[tuple[str, bytes], ...]]:
    headers: tuple[tuple[str, bytes], ...] = ()
    if words.endswith("}") and " {" in words:
        words, _, last = words.rpartition(" {")
        pairs = (each.split("=") for each in last[:-1].split(","))
        headers = tuple((name, value.encode()) for name, value in pairs)
    words, _, timestamp = words.rpartition(" @")
    topic, key, value = words.split(" ", 2)
    return topic, key, value, int(timestamp), headers


def replay(transcript: Transcript, scenario: Scenario, topology: Topology, **settings: object) -> list[str]:
    """The scenario's lines with the answers of `topology`."""
    lines = []
    with TopologyTest(topology, CONFIG | settings, wall_clock_ms=0) as test:
        for line in scenario.lines:
            kind, _, rest = line.partition(" ")
            if kind in {"<", "="}:
                continue
            lines.append(line)
            if kind == "?":
                lines += sorted(f"=  {_printed(key)} {_printed(value)}" for key, value in _stored(test, rest))
                continue
            if kind == "+":
                test.advance_wall_clock(int(rest))
            else:
                topic, key, value, timestamp, headers = _record(rest)
                kinds = transcript.inputs[topic]
                test.input(topic, serde(kinds[0]), serde(kinds[1])).pipe(
                    _parsed(kinds[0], key), _parsed(kinds[1], value), ts=timestamp, headers=headers
                )
            lines += _answers(transcript, test)
    return lines


def replay_in_batches(
    transcript: Transcript, scenario: Scenario, topology: Topology, size: int, **settings: object
) -> list[str]:
    """The scenario's answers, where up to `size` records of one topic are there before the first of them is
    processed."""
    lines: list[str] = []
    waiting: list[str] = []
    with TopologyTest(topology, CONFIG | settings, wall_clock_ms=0) as test:

        def pipe() -> None:
            records = [_record(line) for line in waiting]
            waiting.clear()
            for topic, group in groupby(records, lambda each: each[0]):
                kinds = transcript.inputs[topic]
                test.input(topic, serde(kinds[0]), serde(kinds[1])).pipe_batch(
                    Record(_parsed(kinds[0], key), _parsed(kinds[1], value), timestamp, headers)
                    for _, key, value, timestamp, headers in group
                )
            lines.extend(_answers(transcript, test))

        for line in scenario.lines:
            kind, _, rest = line.partition(" ")
            if kind in {"<", "="}:
                continue
            if kind not in {"?", "+"}:
                waiting.append(rest)
                if len(waiting) == size:
                    pipe()
                continue
            pipe()
            lines.append(line)
            if kind == "?":
                lines += sorted(f"=  {_printed(key)} {_printed(value)}" for key, value in _stored(test, rest))
            else:
                test.advance_wall_clock(int(rest))
                lines += _answers(transcript, test)
        pipe()
    return lines


def by_place(lines: Iterable[str]) -> dict[str, list[str]]:
    """What each topic got, in its order, and what was found in stores."""
    found: dict[str, list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "<":
            topic, _, record = rest.partition(" ")
            found.setdefault(topic, []).append(record)
        elif kind == "=":
            found.setdefault("", []).append(rest)
    return found


def _stored(test: TopologyTest, name: str) -> Iterator[tuple[object, object]]:
    """Keys and values."""
    store = test.store(name)
    if isinstance(store, SessionValues):
        return store.find_sessions_of_keys(None, None, 0, 2**63 - 1)
    return iter(store.all())


def _answers(transcript: Transcript, test: TopologyTest) -> Iterator[str]:
    for topic, kinds in transcript.outputs.items():
        for record in test.output(topic, serde(kinds[0]), serde(kinds[1])).read():
            yield f"< {topic} {_text(record)}"


def _text(record: Record[object, object]) -> str:
    text = f"{_printed(record.key)} {_printed(record.value)} @{record.timestamp}"
    if not record.headers:
        return text
    headers = ",".join(f"{name}={(value or b'').decode()}" for name, value in record.headers)
    return f"{text} {{{headers}}}"
