"""The registries beside the keys of Kafka 4.4, in its own classes: names, types, defaults, what is valid."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from bench.kafka.install import KafkaUnavailableError, install

from ottla.config.broker import BROKER_CONFIGS
from ottla.config.definition import ConfigDef, ConfigError, ConfigType, format_value
from ottla.config.groups import GROUP_CONFIGS
from ottla.config.topic import TOPIC_CONFIGS

VERSION = "4.4.0"
REGISTRIES = {"broker": BROKER_CONFIGS, "topic": TOPIC_CONFIGS, "group": GROUP_CONFIGS}

SAMPLES = (
    *("", " ", "-2", "-1", "0", "1", "2", "3", "5", "10", "100", "524288", "2147483639", "2147483647"),
    *("2147483648", "9223372036854775807", "9223372036854775808", "0.4", "0.5", "0.6", "1.5", "1e3", "nan"),
    *("true", "FALSE", "yes", "x", "x,x", "x,y", "x,,y", "compact,delete,compact", "compact,,delete"),
    *("classic,consumer", "broker", "RS256", "rs256", "downgrade", "none", "required", "PLAINTEXT"),
    *("earliest", "by_duration:PT1H", "by_duration:P1DT2H3M4.5S", "by_duration:P", "by_duration:"),
    *("read_committed", "CreateTime", "createtime", "zstd", "uncompressed", "0:1,2:3", "0:", "*"),
)

DIFFERENT_DEFAULTS = {
    "broker.id": "an alias of node.id, not a key of its own",
    "group.coordinator.rebalance.protocols": "there are no streams groups yet",
    "group.initial.rebalance.delay.ms": "groups form sooner",
    "listeners": "this machine only, until told otherwise",
    "log.dir": "not in /tmp",
    "node.id": "Kafka has none and asks for it",
    "socket.receive.buffer.bytes": "the system sizes it",
    "socket.send.buffer.bytes": "the system sizes it",
}
READ_ONLY_HERE = {"listeners", "listener.security.protocol.map"}
REFUSED_HERE: Mapping[str, set[str]] = {
    "default.replication.factor": {"-2", "-1", "0", "524288", "2147483639", "2147483647"},
    "group.initial.rebalance.delay.ms": {"-2", "-1"},
    "log.flush.scheduler.interval.ms": {"-2", "-1", "0"},
    "offset.metadata.max.bytes": {"-2", "-1"},
    "offsets.topic.compression.codec": {
        "-2", "-1", "5", "10", "100", "524288", "2147483639", "2147483647",
    },
}  # fmt: skip
"""What Kafka takes and then fails by, or could only mean a mistake."""
OTHER_VALUES = {
    "controller.quorum.bootstrap.servers": "addresses, which nobody here connects to",
    "controller.quorum.voters": "addresses, which nobody here connects to",
    "group.consumer.assignors": "names of classes as well, but there are only those of Ottla",
}
"""So are those of type class: Kafka loads them."""


class KafkaKey(NamedTuple):
    resource: str
    name: str
    type: str
    default: str
    mode: str
    internal: str
    synonyms: str
    taken: str


@pytest.fixture(scope="module")
def kafkas_keys() -> Mapping[tuple[str, str], KafkaKey]:
    try:
        kafka = install(VERSION)
    except KafkaUnavailableError as error:
        pytest.skip(str(error))
    source = Path(__file__).with_name("KafkaDefinitions.java")
    # Java's own encoding of arguments and output does not matter: all is ASCII.
    command = ["java", "-cp", f"{kafka.jars}/*", str(source), *SAMPLES]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    keys = [KafkaKey(*line.split("\t")) for line in done.stdout.splitlines()]
    return {(key.resource, key.name): key for key in keys}


OF_THE_AUTHORIZER = frozenset({"super.users", "allow.everyone.if.no.acl.found"})
"""Kafka's authorizer reads them by itself: no definition has them."""


def ours() -> Iterator[tuple[str, ConfigDef]]:
    for resource, registry in REGISTRIES.items():
        for definition in registry.values():
            if not definition.name.startswith("ottla.") and definition.name not in OF_THE_AUTHORIZER:
                yield resource, definition


def takes(definition: ConfigDef, sample: str) -> bool:
    try:
        definition.parse(sample)
    except ConfigError:
        return False
    return True


def test_there_are_the_same_names(kafkas_keys: Mapping[tuple[str, str], KafkaKey]) -> None:
    names = {(resource, definition.name) for resource, definition in ours()}
    assert sorted(kafkas_keys.keys() - names) == []
    assert sorted(names - kafkas_keys.keys()) == []


def test_they_are_the_same(kafkas_keys: Mapping[tuple[str, str], KafkaKey]) -> None:
    differences = []
    for resource, definition in ours():
        key = kafkas_keys[resource, definition.name]
        default = "null" if definition.default is None else f'"{format_value(definition.default)}"'
        synonyms = definition.synonyms[0] if definition.synonyms else ""
        mode = definition.update_mode.value
        if resource == "broker":
            synonyms = ",".join((definition.name, *definition.synonyms))
            if definition.name in READ_ONLY_HERE:
                mode = key.mode
        if definition.name in DIFFERENT_DEFAULTS or (definition.synonyms and key.default == "null"):
            default = key.default
        if (
            "hours" in definition.name
            or "minutes" in definition.name
            or definition.name in ("node.id", "log.dirs")
        ):
            synonyms = key.synonyms  # looked up from the finest unit, or the newest name, only
        here = (definition.type.name, default, mode, "internal" if definition.internal else "", synonyms)
        if here != key[2:7]:
            differences.append((resource, definition.name, here, key[2:7]))
    assert differences == []


def test_they_take_the_same_values(kafkas_keys: Mapping[tuple[str, str], KafkaKey]) -> None:
    differences = []
    for resource, definition in ours():
        key = kafkas_keys[resource, definition.name]
        if definition.type is ConfigType.CLASS or definition.name in OTHER_VALUES:
            continue
        for sample, sign in zip(SAMPLES, key.taken, strict=True):
            is_refused_here = resource == "broker" and sample in REFUSED_HERE.get(definition.name, ())
            if takes(definition, sample) != (sign == "+" and not is_refused_here):
                differences.append((resource, definition.name, sample, f"Kafka: {sign}"))
    assert differences == []
