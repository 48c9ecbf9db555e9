"""How admin calls find their brokers and try again, each thing by itself."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace

import pytest

from ottla.client.admin.calls import (
    ANYWHERE,
    CONTROLLER,
    LEADER,
    Calls,
    Named,
    Node,
    group_coordinator,
    outcome,
)
from ottla.client.admin.results import Results
from ottla.client.core.backoff import Backoff
from ottla.client.core.metadata import (
    BrokerNode,
    ClusterMetadata,
    PartitionView,
    TopicPartition,
    TopicView,
)
from ottla.client.errors import (
    AuthorizationError,
    BrokerError,
    ClientError,
    DisconnectedError,
    RequestTimeoutError,
    broker_error,
)
from ottla.client.settings import ClientSettings
from ottla.protocol.errors import ErrorCode

BROKERS = {node: BrokerNode(node, "localhost", 9000 + node) for node in (1, 2, 3)}


def metadata(**leaders: int) -> ClusterMetadata:
    topics = {
        name: TopicView(name, None, False, {0: PartitionView(0, leader, 0)})
        for name, leader in leaders.items()
    }
    return ClusterMetadata(BROKERS, topics, controller_id=3)


class FakeCluster:
    """A cluster whose coordinators and metadata are as the test says, one answer after the other."""

    def __init__(self, *views: ClusterMetadata) -> None:
        self.settings = ClientSettings(default_api_timeout_ms=2000)
        self.retry_backoff = Backoff(1, 2)
        self.host = SimpleNamespace(random=random.Random(1))
        self.metadata = views[0] if views else metadata()
        self.views = list(views[1:])
        self.coordinators: dict[str, list[int]] = {}
        self.forgotten: list[str] = []
        self.refreshed: list[tuple[str, ...]] = []

    async def coordinator(self, kind: object, key: str) -> int:
        known = self.coordinators[key]
        return known[0]

    def forget_coordinator(self, kind: object, key: str) -> None:
        self.forgotten.append(key)
        if len(self.coordinators[key]) > 1:
            self.coordinators[key].pop(0)

    def stale(self, topics: Iterable[str] = ()) -> None:
        if self.views:
            self.metadata = self.views.pop(0)

    async def refresh(self, topics: Iterable[str] = ()) -> ClusterMetadata:
        self.refreshed.append(tuple(topics))
        if self.views:
            self.metadata = self.views.pop(0)
        return self.metadata


class Broker:
    """Answers by script: for each (node, key) in turn, the last for good. Keeps what it was asked."""

    def __init__(self, answers: Mapping[tuple[Node, object], Sequence[object]]) -> None:
        self._answers = {where: list(each) for where, each in answers.items()}
        self.asked: list[tuple[Node, list[object]]] = []

    async def __call__(self, node: Node, keys: Sequence[object]) -> Mapping[object, object]:
        self.asked.append((node, list(keys)))
        outcomes = {}
        for key in keys:
            answers = self._answers.get((node, key), [])
            if not answers:
                continue
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, DisconnectedError):
                raise answer
            outcomes[key] = outcome(answer, None) if isinstance(answer, ErrorCode) and answer else answer
        return outcomes


async def test_what_goes_to_one_node_goes_together() -> None:
    cluster, broker = FakeCluster(), Broker({(1, "a"): ["A"], (2, "b"): ["B"], (1, "c"): ["C"]})
    cluster.coordinators = {"a": [1], "b": [2], "c": [1]}
    results = await Calls(cluster).each(["a", "b", "c", "a"], group_coordinator(), broker)  # type: ignore[arg-type]
    assert dict(results) == {"a": "A", "b": "B", "c": "C"}
    assert sorted(broker.asked) == [(1, ["a", "c"]), (2, ["b"])]


async def test_a_moved_coordinator_is_looked_up_again_for_its_group_alone() -> None:
    cluster = FakeCluster()
    cluster.coordinators = {"a": [1, 2], "b": [1]}
    broker = Broker({(1, "a"): [ErrorCode.not_coordinator], (2, "a"): ["A"], (1, "b"): ["B"]})
    results = await Calls(cluster).each(["a", "b"], group_coordinator(), broker)  # type: ignore[arg-type]
    assert dict(results) == {"a": "A", "b": "B"}
    assert cluster.forgotten == ["a"]
    assert broker.asked == [(1, ["a", "b"]), (2, ["a"])]


@pytest.mark.parametrize(
    ("code", "attempts"),
    [
        (ErrorCode.group_id_not_found, 1),
        (ErrorCode.request_timed_out, 1),  # may be tried again in general, but this call does not
        (ErrorCode.coordinator_load_in_progress, 2),
        (ErrorCode.unstable_offset_commit, 2),
    ],
)
async def test_refusals_are_final_unless_the_call_says_otherwise(code: ErrorCode, attempts: int) -> None:
    cluster, broker = FakeCluster(), Broker({(1, "a"): [code, "A"]})
    cluster.coordinators = {"a": [1]}
    unstable = {ErrorCode.unstable_offset_commit}
    results = await Calls(cluster).each(["a"], group_coordinator(), broker, also_retried=unstable)  # type: ignore[arg-type]
    assert len(broker.asked) == attempts
    assert results.errors.get("a", broker_error(code)).code == code


async def test_what_did_not_get_through_is_sent_again_for_all_it_was_about() -> None:
    cluster = FakeCluster()
    cluster.coordinators = {"a": [1], "b": [1], "c": [2]}
    broker = Broker({(1, "a"): [DisconnectedError("gone"), "A"], (1, "b"): ["B"], (2, "c"): ["C"]})
    results = await Calls(cluster).each(["a", "b", "c"], group_coordinator(), broker)  # type: ignore[arg-type]
    assert dict(results) == {"a": "A", "b": "B", "c": "C"}
    assert sorted(broker.asked) == [(1, ["a", "b"]), (1, ["a", "b"]), (2, ["c"])]


async def test_the_last_error_stays_when_time_is_up() -> None:
    cluster = FakeCluster()
    cluster.coordinators = {"a": [1], "b": [1]}
    broker = Broker({(1, "a"): [ErrorCode.coordinator_not_available], (1, "b"): ["B"]})
    results = await Calls(cluster).each(["a", "b"], group_coordinator(), broker, timeout_ms=30)  # type: ignore[arg-type]
    assert results["b"] == "B"
    assert results.errors["a"].code == ErrorCode.coordinator_not_available


async def test_silence_is_a_timeout() -> None:
    async def silent(node: Node, keys: Sequence[str]) -> Mapping[str, None]:
        import asyncio

        await asyncio.sleep(60)
        return {}

    results = await Calls(FakeCluster()).each(["a"], ANYWHERE, silent, timeout_ms=10)  # type: ignore[arg-type]
    assert isinstance(results.errors["a"], RequestTimeoutError)


async def test_what_an_answer_leaves_out_is_an_error() -> None:
    results = await Calls(FakeCluster()).each(["a"], ANYWHERE, Broker({}))  # type: ignore[arg-type]
    assert results.errors["a"].code == ErrorCode.unknown_server_error


async def test_leaders_are_asked_for_and_followed() -> None:
    here, there = TopicPartition("t", 0), TopicPartition("u", 0)
    cluster = FakeCluster(metadata(t=1), metadata(t=1, u=-1), metadata(t=1, u=2), metadata(t=3, u=2))
    broker = Broker({(1, here): [ErrorCode.not_leader_or_follower], (3, here): ["T"], (2, there): ["U"]})
    results = await Calls(cluster).each([here, there], LEADER, broker)  # type: ignore[arg-type]
    assert dict(results) == {here: "T", there: "U"}
    assert cluster.refreshed[0] == ("u",)


async def test_the_controller_is_the_one_that_is_known() -> None:
    nobody = ClusterMetadata(BROKERS, controller_id=9)
    cluster = FakeCluster(metadata(), nobody)
    broker = Broker({(3, "t"): [ErrorCode.not_controller], (None, "t"): ["T"]})
    results = await Calls(cluster).each(["t"], CONTROLLER, broker)  # type: ignore[arg-type]
    assert results["t"] == "T"
    assert [node for node, _ in broker.asked] == [3, None]


async def test_a_broker_that_is_not_there_fails_its_keys_alone() -> None:
    cluster, broker = FakeCluster(), Broker({(1, 1): ["one"]})
    results = await Calls(cluster).each([1, 7], Named(int), broker)  # type: ignore[arg-type]
    assert results[1] == "one"
    assert results.errors[7].code == ErrorCode.broker_not_available


def test_results_are_in_order_and_raise_what_failed() -> None:
    refused = broker_error(ErrorCode.topic_authorization_failed)
    results: Results[str, int] = Results({"a": 1, "b": refused, "c": 3})
    assert list(results) == ["a", "b", "c"]
    assert results["a"] == 1
    assert results.succeeded == {"a": 1, "c": 3}
    assert results.errors == {"b": refused}
    assert "b" in results
    assert "d" not in results
    with pytest.raises(KeyError):
        results["d"]
    for look in (results.check, lambda: results["b"], lambda: list(results.values())):
        with pytest.raises(AuthorizationError):
            look()
    replaced = results.replaced(Results({"b": 2, "z": 0}))
    replaced.check()
    assert dict(replaced) == {"a": 1, "b": 2, "c": 3}


def test_outcomes() -> None:
    assert outcome(0, "value", "not used") == "value"
    error = outcome(int(ErrorCode.invalid_request), "value", "why", "what")
    assert isinstance(error, BrokerError)
    assert str(error) == "what: invalid_request: why"
    assert isinstance(outcome(12345, None), ClientError)
