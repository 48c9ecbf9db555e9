"""Scenarios: functions that are run against Kafka and against Ottla, and whose answers are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ottla.broker.apis import APIS

from .brokers import Broker, Connection, Unanswered
from .deviations import DEVIATIONS
from .normal import Normaliser, differences

COVERED: dict[str, set[int]] = defaultdict(set)
"""Which versions of which API have scenarios, of those that were imported."""

SERVED = {api.name: (api.lowest, api.highest) for api in APIS}


def edges(api: str) -> list[int]:
    """The lowest, a middle and the highest version that Ottla serves."""
    low, high = SERVED[api]
    return sorted({low, (low + high) // 2, high})


class Ask:
    """One broker, as a scenario sees it: `ask(API, field=value, ...)` notes the answer and gives it back."""

    def __init__(self, broker: Broker, api: str, version: int, prefix: str, newest: dict[str, int]) -> None:
        self.broker, self.version = broker, version
        self._api, self._prefix, self._newest = api, prefix, newest
        self._connection = Connection(broker)
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.settle = broker.settle
        self.client_id = "differential"
        """Of its requests; it may choose another"""

    def close(self) -> None:
        self._connection.close()

    def name(self, name: str) -> str:
        """A name that no other scenario uses."""
        return f"{self._prefix}-{name}"

    def __call__(self, api: str, version: int | None = None, /, **body: Any) -> dict[str, Any]:
        """The scenario's API at the scenario's version, any other at the newest that both brokers serve."""
        answer = self.quietly(api, version, **body)
        self.note(api, version, answer)
        return answer

    def quietly(self, api: str, version: int | None = None, /, **body: Any) -> dict[str, Any]:
        """The same without comparing: for what only prepares."""
        try:
            return self._connection.ask(api, self._at(api, version), body, self.client_id)
        except Unanswered as how:
            self.reconnect()
            return {"connection": str(how)}

    def eventually(self, api: str, version: int | None = None, /, **body: Any) -> dict[str, Any]:
        """As called, asked again while the answer has an error that goes away by itself."""
        answer: dict[str, Any] = self.broker.eventually(lambda: self.quietly(api, version, **body))
        self.note(api, version, answer)
        return answer

    def raw(self, request: bytes) -> bytes | str:
        """The answer to any bytes, not noted; what the broker does where there is none."""
        try:
            self._connection.send(request)
            return self._connection.receive()
        except Unanswered as how:
            self.reconnect()
            return str(how)

    def reconnect(self) -> None:
        """Go on with a new connection."""
        self._connection.close()
        self._connection = Connection(self.broker)

    def note(self, api: str, version: int | None, answer: Any) -> None:
        self.notes.append((f"{api} {self._at(api, version)}", answer))

    def version_of(self, api: str) -> int:
        """At which version an API is asked where none is given."""
        return self.version if api == self._api else self._newest[api]

    def _at(self, api: str, version: int | None) -> int:
        return self.version_of(api) if version is None else version

    def topic(self, name: str = "topic", partitions: int = 1, **configs: str) -> dict[str, Any]:
        """A new topic, ready: its `name` and `topic_id`, which requests take as they are."""
        full = self.name(name)
        wanted = {
            "name": full, "num_partitions": partitions, "replication_factor": 1,
            "configs": [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()],
        }  # fmt: skip
        (made,) = self.quietly("CreateTopics", 7, topics=[wanted], timeout_ms=10_000)["topics"]
        assert made["error_code"] == 0, made
        asked = [{"partition_index": index, "timestamp": -1} for index in range(partitions)]
        listed = [{"name": full, "partitions": asked}]
        self.broker.eventually(lambda: self.quietly("ListOffsets", 5, replica_id=-1, topics=listed))
        return {"name": full, "topic_id": made["topic_id"]}

    def produce(
        self, topic: dict[str, Any], records: bytes | None, partition: int = 0, acks: int = -1
    ) -> dict[str, Any]:
        """Appends without comparing."""
        data = [{"name": topic["name"], "partition_data": [{"index": partition, "records": records}]}]
        answer = self.quietly("Produce", 9, acks=acks, timeout_ms=10_000, topic_data=data)
        return answer["responses"][0]["partition_responses"][0]


Scenario = Callable[[Ask], None]


def scenario(
    api: str, *, versions: Iterable[int] | None = None, fault: str | None = None
) -> Callable[[Scenario], Callable[..., None]]:
    """A test at each of the versions: by default the lowest, a middle and the highest that Ottla serves.

    `fault` says what Ottla is known to do wrong; the test fails once it no longer does.
    """

    chosen = edges(api) if versions is None else list(versions)
    COVERED[api].update(chosen)

    def decorate(function: Scenario) -> Callable[..., None]:
        @pytest.mark.parametrize("version", chosen)
        @pytest.mark.xdist_group("differential")
        def test(brokers: tuple[Broker, Broker], version: int) -> None:
            prefix = f"{function.__name__.removeprefix('test_')}-{version}".replace("_", "-")
            newest = {
                name: min(served[1], brokers[1].served.get(name, served)[1])
                for name, served in brokers[0].served.items()
            }
            notes = []
            for broker in brokers:
                ask = Ask(broker, api, version, prefix, newest)
                try:
                    function(ask)
                finally:
                    ask.close()
                normalise = Normaliser()
                notes.append([(label, normalise(answer)) for label, answer in ask.notes])
            _compare(function.__name__, version, notes[0], notes[1])

        test.__name__ = test.__qualname__ = function.__name__
        test.__doc__, test.__module__ = function.__doc__, function.__module__
        return (
            pytest.mark.xfail(strict=True, raises=pytest.fail.Exception, reason=fault)(test)
            if fault
            else test
        )

    return decorate


def _compare(name: str, version: int, kafka: list[tuple[str, Any]], ottla: list[tuple[str, Any]]) -> None:
    assert [label for label, _ in kafka] == [label for label, _ in ottla]
    unexpected = []
    here = [
        each for each in DEVIATIONS if version in each.versions and (each.scenario == name or each.everywhere)
    ]
    seen = set()
    for step, ((label, theirs), (_, ours)) in enumerate(zip(kafka, ottla, strict=True)):
        for path, their, our in differences(theirs, ours):
            field = f"{label.split()[0]}.{path}"
            matching = [each for each in here if each.allows(field, their, our)]
            seen |= set(matching)
            if not matching:
                unexpected.append(f"step {step}, {label}: {path}: Kafka {their!r}, Ottla {our!r}")
    unexpected += [f"no longer so: {each}" for each in here if each.scenario == name and each not in seen]
    if unexpected:
        pytest.fail("\n".join(unexpected), pytrace=False)
