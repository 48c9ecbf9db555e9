"""The whole of it: text of this machine comes over TLS from one who proves who he is, and is read back the
same; another, who may not, is refused; and metrics tell how far the group is behind, until it is not.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from tests.certificates import Authority

from ottla.testing.cluster import free_ports

from .broker_process import BrokerProcess
from .clients import Clients, eventually
from .test_million_lines import lines_of_this_machine

TOPIC, GROUP, PARTITIONS = "lines", "readers", 3
SHORT, FULL = 10_000, 1_000_000
PATIENCE_S: Final = 120.0
PASSWORDS: Final = {name: f"{name}'s-secret,=" for name in ("admin", "ann", "bob")}


class Place(NamedTuple):
    broker: BrokerProcess
    metrics: str
    audit: Path
    clients: dict[str, Clients]

    def lag(self, what: str = "") -> dict[int, float]:
        """Of each partition of the topic: in records, or in `_seconds`."""
        with urllib.request.urlopen(self.metrics, timeout=PATIENCE_S) as answer:
            page = answer.read().decode()
        found = re.findall(rf"^kafka_consumergroup_lag{what}\{{(.*)\}} (\S+)$", page, re.MULTILINE)
        labels = [(dict(re.findall(r'(\w+)="([^"]*)"', text)), float(value)) for text, value in found]
        return {int(each["partition"]): value for each, value in labels if each["topic"] == TOPIC}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A broker with nothing but SASL_SSL, whose first user was there before it began."""
    authority = Authority()
    client, metrics = free_ports(2)
    settings = {
        "listeners": f"SASL_SSL://127.0.0.1:{client}",
        "security.inter.broker.protocol": "SASL_SSL",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "ssl.keystore.location": authority.give_to("localhost").write(tmp_path / "server.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin",
        "ottla.metrics.listener": f"127.0.0.1:{metrics}",
        "ottla.audit.log": str(tmp_path / "audit.jsonl"),
        "connection.failed.authentication.delay.ms": "1",
    }
    broker = BrokerProcess(tmp_path, settings)
    command = [sys.executable, "-m", "ottla", "user", "add", "admin", "--data", str(broker.data)]
    subprocess.run(command, input=PASSWORDS["admin"].encode(), check=True, capture_output=True)
    broker.start()
    security = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "ssl.ca.location": authority.write(tmp_path / "ca.pem"),
    }
    clients = {
        name: Clients(broker.bootstrap, {**security, "sasl.username": name, "sasl.password": password})
        for name, password in PASSWORDS.items()
    }
    yield Place(broker, f"http://127.0.0.1:{metrics}/metrics", tmp_path / "audit.jsonl", clients)
    broker.kill()


def let_in(place: Place) -> None:
    """ann and bob may come, and ann may write, read and commit."""
    admin = place.clients["admin"]
    admin.create_topic(TOPIC, partitions=PARTITIONS)
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    wanted = [
        UserScramCredentialUpsertion(name, scram, PASSWORDS[name].encode(), b"salt")
        for name in ("ann", "bob")
    ]
    rights = [
        (ResourceType.TOPIC, TOPIC, AclOperation.WRITE),
        (ResourceType.TOPIC, TOPIC, AclOperation.READ),
        (ResourceType.GROUP, GROUP, AclOperation.READ),
    ]
    bindings = [
        AclBinding(
            kind, name, ResourcePatternType.LITERAL, "User:ann", "*", operation, AclPermissionType.ALLOW
        )
        for kind, name, operation in rights
    ]
    done = [
        *admin.admin.alter_user_scram_credentials(wanted).values(),
        *admin.admin.create_acls(bindings).values(),
    ]
    for future in done:
        future.result(PATIENCE_S)


def send(clients: Clients, lines: list[bytes]) -> None:
    """To the partitions in turns."""
    for number in range(PARTITIONS):
        records = ((None, line) for line in lines[number::PARTITIONS])
        clients.produce(TOPIC, records, partition=number, linger_ms=5, enable_idempotence=True)


class Reading:
    """A member of the group, and what it has read."""

    def __init__(self, clients: Clients) -> None:
        self.consumer: Consumer = clients.consumer(GROUP)
        self.consumer.subscribe([TOPIC])
        self.found: list[list[bytes]] = [[] for _ in range(PARTITIONS)]

    def read(self, count: int) -> None:
        """So many more, and commit."""
        deadline = time.monotonic() + PATIENCE_S
        while count > 0:
            assert time.monotonic() < deadline, f"{count} lines are not there"
            for message in self.consumer.consume(min(count, 10_000), timeout=1):
                if message.error() is not None:
                    raise KafkaException(message.error())
                self.found[message.partition()].append(message.value())
                count -= 1
                deadline = time.monotonic() + PATIENCE_S
        self.consumer.commit(asynchronous=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_lines_of_one_who_may(place: Place, pytestconfig: pytest.Config) -> None:
    count = FULL if pytestconfig.getoption("--full") else SHORT
    lines = list(itertools.islice(lines_of_this_machine(), count))
    let_in(place)
    ann, bob = place.clients["ann"], place.clients["bob"]
    send(ann, lines)
    reading = Reading(ann)
    sent = [lines[number::PARTITIONS] for number in range(PARTITIONS)]
    for part in (count // 2, count - count // 2):
        reading.read(part)
        pairs = enumerate(zip(sent, reading.found, strict=True))
        behind = {number: len(all_) - len(found) for number, (all_, found) in pairs if found}
        eventually(lambda behind=behind: place.lag() == behind, PATIENCE_S)
    assert reading.found == sent
    assert behind == dict.fromkeys(range(PARTITIONS), 0)
    assert place.lag("_seconds") == dict.fromkeys(range(PARTITIONS), 0)
    stands_still(place, ann)
    reading.read(1)
    eventually(lambda: set(place.lag("_seconds").values()) == {0}, PATIENCE_S)
    reading.consumer.close()
    is_refused(place, bob)
    everything = place.broker.all_stderr() + place.audit.read_text()
    assert "Traceback" not in everything
    assert not [each for each in PASSWORDS.values() if each in everything]


def stands_still(place: Place, clients: Clients) -> None:
    """A line comes, and nobody reads it: for how long is told at each look."""
    before = time.monotonic()
    place.lag()  # until here there was nothing
    clients.produce(TOPIC, [(None, b"late")], partition=0, acks="all")
    eventually(lambda: place.lag()[0] == 1, PATIENCE_S)
    after = time.monotonic()
    for _ in range(3):
        time.sleep(0.5)
        asked = time.monotonic()
        told = place.lag("_seconds")
        answered = time.monotonic()
        assert asked - after - 0.1 <= told[0] <= answered - before + 0.1
        assert told[1] == told[2] == 0


def is_refused(place: Place, clients: Clients) -> None:
    """He is known, and may nothing: each attempt is told so and audited, and nothing of it comes in."""
    with pytest.raises(KafkaException) as refused:
        clients.produce(TOPIC, [(None, b"forged")])
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    denials: list[dict[str, Any]] = eventually(lambda: denials_of(place, "User:bob"), PATIENCE_S)
    assert {(each["resource_type"], each["resource"]) for each in denials} == {("TOPIC", TOPIC)}
    with pytest.raises(KafkaException, match="authorization failed"):
        Reading(clients).read(1)
    assert place.lag()[0] == 0


def denials_of(place: Place, principal: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in place.audit.read_text().splitlines()]
    return [each for each in entries if each["event"] == "denial" and each["principal"] == principal]
