"""Scenarios as text: what coordinators are asked, what they answer, and what they write.

A scenario is read like a conversation. Lines that begin with `#` tell the story; others are commands, each
with what it caused behind it:

    a> JoinGroup {"member_id": "", ...}    client `a` sends; `a@3>` sends that version instead of the newest
    a< {"generation_id": 1, ...}           an answer, to whoever it goes; what has its default is left out
    + GroupMetadata {key} = {value}        a record that was written; `-` and a key alone is a tombstone

    config group_max_size=2                before anything else: settings of the coordinator
    topics t=4 u=2                         the cluster's topics from now on
    wait 5000                              so many milliseconds pass
    restart                                another shard takes over, and knows only the log
    break NOT_ENOUGH_REPLICAS              from now on appends fail
    mend                                   or work again
    hold                                   what is written stays uncommitted from now on
    commit                                 it is committed
    marker 7 commit                        a transaction marker of producer 7 is written; or `abort`

A scenario that begins with `transactions` is one of the transaction coordinator. Its id is `x` where requests
do not say, and there are more lines:

    + x Ongoing by 1000 epoch 0 in t-0     the state that is recorded; a tombstone is `- x`
    ! commit x of 1000 epoch 1 ... in t-0  a marker that is due
    written x t-0=NOT_LEADER_OR_FOLLOWER   it is written in all of its partitions but these
    unsent x                               it could not be sent
    await x 100                            so long somebody waits for the end of the transaction
    version 1                              `transaction.version` from now on
    epoch x 32766                          the epoch that the log has of it from now on

The group is `g` where a request does not say. Bytes are text; `subscription:t,u` and `assignment:t=0,1 u=0`
stand for the consumer protocol's. Topic ids are told by the topic's name, and `#1` is the first id that the
coordinator made.

`OTTLA_REWRITE_SCENARIOS=1 ./dev test tests/scenarios` writes what happens into the files; read the changes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.coordinator_harness import Coordinator, Logged, image, subscription, topic_partitions
from tests.transaction_harness import Transactions

from ottla.coordination.groups.modern.consumer.embedded import decode_assignment, decode_subscription
from ottla.coordination.runtime import Pending
from ottla.coordination.transactions.markers import DueMarker, TopicPartition
from ottla.coordination.transactions.state import record_of, transaction_of
from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages import APIS
from ottla.protocol.messages.records.transaction import TransactionLogValue
from ottla.protocol.structs import Struct

SCENARIOS = sorted(Path(__file__).parent.glob("*.txt"))
_KEYS = {info.name: key for key, info in APIS.items()}
_MADE_ID = re.compile("00000000-0000-0000-0000-0*([1-9][0-9]*)")
_SENT = re.compile(r"(\w+)(?:@(\d+))?> (\w+) (\{.*\})")
_NO_TOPIC = UUID(int=99)


class Scenario(Coordinator):
    """A coordinator that is told what to do in words, and tells what it did."""

    config_defaults: Mapping[str, Any] = {
        "group_initial_rebalance_delay_ms": 0,
        "group_consumer_assignment_interval_ms": 0,
    }
    request_defaults: Mapping[str, Any] = {"group_id": "g"}

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._answers: list[str] = []
        self._told_records = 0
        super().__init__(image(t=4), {**self.config_defaults, **config})

    def obey(self, command: str) -> Iterator[str]:
        """Do what a line says; the lines that tell what came of it."""
        if sent := _SENT.fullmatch(command):
            name, version, api, fields = sent.groups()
            class_ = wire.request_class(_KEYS[api])
            self.send(
                class_,
                self._given(class_, {**self._defaults(class_), **json.loads(fields)}),
                version=None if version is None else int(version),
                client_id=name,
            )
        else:
            word, *rest = command.split()
            getattr(self, f"do_{word}")(*rest)
        records, self._told_records = self.log.records[self._told_records :], len(self.log)
        yield from map(self._shown_record, records)
        answers, self._answers = self._answers, []
        yield from answers

    def _defaults(self, class_: type[Struct]) -> dict[str, Any]:
        return {name: each for name, each in self.request_defaults.items() if name in class_.__fields__}

    def do_topics(self, *counts: str) -> None:
        self.set_image(image(**{name: int(number) for name, number in (c.split("=") for c in counts)}))

    def do_wait(self, ms: str) -> None:
        self.advance(int(ms))

    def do_restart(self) -> None:
        self.restart()

    def do_break(self, code: str) -> None:
        self.log.error = ErrorCode[code.lower()]

    def do_mend(self) -> None:
        self.log.error = None

    def do_hold(self) -> None:
        self.log.held_at = len(self.log)

    def do_commit(self) -> None:
        self.log.held_at = None
        self.runtime.committed()

    def do_marker(self, producer_id: str, outcome: str) -> None:
        self.end_transaction(int(producer_id), committed={"commit": True, "abort": False}[outcome])
        self._told_records = len(self.log)

    # Requests and answers

    def answered(self, client_id: str, response: Struct) -> None:
        self._answers.append(f"{client_id}< {self._shown(response)}")

    def _given(self, class_: type[Struct], value: Mapping[str, Any]) -> dict[str, Any]:
        """The fields as the class wants them."""
        return {name: self._given_field(class_, name, each) for name, each in value.items()}

    def _given_field(self, class_: type[Struct], name: str, value: Any) -> Any:
        type_ = class_.__fields__[name].type if name in class_.__fields__ else "string"
        if isinstance(value, list):
            return [self._given_field(class_, name, each) for each in value]
        if isinstance(value, dict) and not isinstance(type_, str):
            return self._given(type_, value)
        if type_ == "bytes":
            return given_bytes(value)
        if type_ == "uuid":
            return self.image.topics[value].topic_id if value in self.image.topics else _NO_TOPIC
        if isinstance(value, str):
            return re.sub("#([0-9]+)", lambda match: str(UUID(int=int(match[1]))), value)
        return value

    # Showing

    def _shown_record(self, logged: Logged) -> str:
        record = self.shard.record_types.decode(logged.key, logged.value)
        assert record is not None
        name = type(record.key).__name__.removesuffix("Key")
        of = "" if logged.producer_id < 0 else f" of producer {logged.producer_id}"
        if record.value is None:
            return f"- {name} {self._shown(record.key)}{of}"
        return f"+ {name} {self._shown(record.key)} = {self._shown(record.value)}{of}"

    def _shown(self, message: Struct) -> str:
        return _MADE_ID.sub(r"#\1", json.dumps(self._plain(message), ensure_ascii=False))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Struct):
            fields = {name: getattr(value, name) for name in value.__fields__}
            shown = {name: each for name, each in fields.items() if each != value.__fields__[name].default}
            if "error_code" in shown:
                shown["error_code"] = ErrorCode(shown["error_code"]).name.upper()
            return {name: self._plain(each) for name, each in shown.items()}
        if isinstance(value, list | tuple):
            return [self._plain(each) for each in value]
        if isinstance(value, bytes):
            return shown_bytes(value)
        if isinstance(value, UUID):
            topic = self.image.topics_by_id.get(value)
            return "a topic that there is not" if topic is None else topic.name
        return value


class TransactionScenario(Scenario, Transactions):
    """The same of the transaction coordinator."""

    config_defaults: Mapping[str, Any] = {}
    request_defaults: Mapping[str, Any] = {"transactional_id": "x", "transaction_timeout_ms": 60_000}

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._told_markers: list[str] = []
        super().__init__(config)

    def obey(self, command: str) -> Iterator[str]:
        yield from super().obey(command)
        told, self._told_markers = self._told_markers, []
        yield from told

    def _take_marker(self, transactional_id: str, order: Pending[DueMarker]) -> None:
        super()._take_marker(transactional_id, order)
        if isinstance(order.outcome, KafkaError):
            self._told_markers.append(f"! no marker of {transactional_id}: {order.outcome.code.name.upper()}")
            return
        marker = order.result().marker
        self._told_markers.append(
            f"! {'commit' if marker.committed else 'abort'} {transactional_id}"
            f" of {marker.producer.producer_id} epoch {marker.producer.producer_epoch}"
            f" version {marker.transaction_version} by coordinator {marker.coordinator_epoch}"
            f" in {_places(marker.partitions)}"
        )

    def _shown_record(self, logged: Logged) -> str:
        record = self.shard.record_types.decode(logged.key, logged.value)
        assert record is not None
        transactional_id = getattr(record.key, "transactional_id")  # noqa: B009
        if not isinstance(record.value, TransactionLogValue):
            return f"- {transactional_id}"
        now = transaction_of(transactional_id, record.value)
        before = now.previous_producer_id
        previous = f" before {before}" if before != now.producer_id else ""
        following = f" next {now.next_producer_id}" if now.next_producer_id >= 0 else ""
        where = f" in {_places(now.partitions)}" if now.partitions else ""
        since = f" since {now.start_ms}" if now.start_ms >= 0 else ""
        return (
            f"+ {transactional_id} {now.state.shown} by {now.producer_id} epoch {now.producer_epoch}"
            f"{previous}{following}{where}{since} version {now.client_version}"
        )

    def do_topics(self, *counts: str) -> None:
        features = self.image.features
        super().do_topics(*counts)
        self.set_image(self.image._replace(features=features))

    def do_version(self, level: str) -> None:
        features = {**self.image.features, "transaction.version": int(level)}
        self.set_image(self.image._replace(features=features))

    def do_written(self, transactional_id: str, *failed: str) -> None:
        codes = {}
        for each in failed:
            where, _, code = each.partition("=")
            topic, _, number = where.rpartition("-")
            codes[topic, int(number)] = ErrorCode[code.lower()]
        self.written(transactional_id, codes)

    def do_unsent(self, transactional_id: str) -> None:
        self.unsent(transactional_id)

    def do_await(self, transactional_id: str, max_wait_ms: str) -> None:
        answer = self.await_end(transactional_id, int(max_wait_ms))

        def tell() -> None:
            outcome = answer.outcome
            told_code = outcome.code.name.upper() if isinstance(outcome, KafkaError) else "looks again"
            self._told_markers.append(f"! who waited for {transactional_id}: {told_code}")

        answer.on_given = tell
        if answer.outcome is not None:
            tell()

    def do_restart(self) -> None:
        self.coordinator_epoch += 1
        super().do_restart()

    def do_epoch(self, transactional_id: str, epoch: str) -> None:
        """A record that has this epoch, which takes thousands of steps else."""
        transaction = self.transaction(transactional_id)
        assert transaction is not None
        self.write([record_of(transaction._replace(producer_epoch=int(epoch)), 1)])
        self._told_records = len(self.log)
        self.restart()


def _places(partitions: Iterable[TopicPartition]) -> str:
    return " ".join(f"{topic}-{number}" for topic, number in partitions)


def given_bytes(text: str) -> bytes:
    kind, _, rest = text.partition(":")
    if kind == "subscription":
        return subscription(*rest.split(","))
    if kind == "assignment":
        owned = dict(each.split("=") for each in rest.split(" ") if each)
        numbers = {name: [int(number) for number in listed.split(",")] for name, listed in owned.items()}
        return b"\0\1" + topic_partitions(numbers) + b"\xff\xff\xff\xff"
    return text.encode()


def shown_bytes(data: bytes) -> str:
    """As `given_bytes` takes it, if it can be said so."""
    candidates = []
    try:
        candidates.append("subscription:" + ",".join(sorted(decode_subscription(data).topics)))
    except KafkaError:
        pass
    try:
        owned = sorted(decode_assignment(data).partitions)
        shown = " ".join(f"{name}={','.join(map(str, sorted(numbers)))}" for name, numbers in owned)
        candidates.append(f"assignment:{shown}")
    except KafkaError:
        pass
    candidates.append(data.decode(errors="replace"))
    return next((text for text in candidates if given_bytes(text) == data), "0x" + data.hex())


def played(text: str) -> str:
    """The scenario with what really comes of its commands."""
    config: dict[str, Any] = {}
    kind = Scenario
    scenario: Scenario | None = None
    lines: list[str] = []
    for line in text.splitlines():
        if line == "transactions":
            kind = TransactionScenario
        elif line.startswith("config "):
            name, _, value = line.removeprefix("config ").partition("=")
            config[name] = int(value) if value.isdigit() else value
        elif line and not line.startswith("#"):
            if re.match(r"[+-] |\w+< |! ", line):
                continue
            scenario = scenario or kind(config)
            lines += [line, *scenario.obey(line)]
            continue
        lines.append(line)
    assert scenario is not None, "a scenario without a command"
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    text = path.read_text()
    happened = played(text)
    if os.environ.get("OTTLA_REWRITE_SCENARIOS"):
        path.write_text(happened)
        return
    assert happened == text


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 5


def test_a_scenario_that_tells_something_else_fails() -> None:
    told = 'a> Heartbeat {"member_id": "m"}\na< {"error_code": "NONE"}\n'
    assert played(told) == 'a> Heartbeat {"member_id": "m"}\na< {"error_code": "UNKNOWN_MEMBER_ID"}\n'
