"""When clients may ask what they are to tell, and tell it; what of it is handed on."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast
from uuid import UUID, uuid4

import pytest

from ottla.broker.apis.cluster import api_versions
from ottla.broker.request import RequestContext
from ottla.broker.services import ClusterServices
from ottla.broker.telemetry.export import Exporter
from ottla.broker.telemetry.instances import Instance, Instances
from ottla.broker.telemetry.otlp import MalformedMetricsError, with_attributes
from ottla.metadata.client_metrics import Subscription, subscription
from ottla.metadata.image import MetadataImage
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.api_versions import ApiVersionsRequest
from ottla.protocol.messages.push_telemetry import PushTelemetryRequest
from ottla.security.principal import ANONYMOUS

ATTRIBUTES = {"client_id": "app", "client_software_name": "librdkafka"}
EVERYTHING = {"all": subscription({"metrics": "*", "interval.ms": "1000"})}


class Clients:
    """One broker's, at a time that a test sets."""

    def __init__(self, subscriptions: Mapping[str, Subscription] = EVERYTHING) -> None:
        self.instances = Instances(uuid4, lambda: 100)
        self.subscriptions = subscriptions
        self.now_ms = 5

    def ask(self, instance_id: UUID | None = None) -> tuple[UUID, Instance]:
        return self.instances.ask(instance_id, ATTRIBUTES, self.subscriptions, self.now_ms)

    def push(self, instance_id: UUID, instance: Instance, **changes: object) -> ErrorCode:
        message = PushTelemetryRequest(
            client_instance_id=instance_id, subscription_id=instance.subscription_id, metrics=b"m"
        )
        for name, value in changes.items():
            setattr(message, name, value)
        try:
            self.instances.push(message, ATTRIBUTES, self.subscriptions, self.now_ms)
        except KafkaError as error:
            return error.code
        return ErrorCode.none


def test_a_client_is_given_an_id_and_asked_for_what_matches() -> None:
    subscriptions = {
        "apps": subscription({"metrics": "a,b", "interval.ms": "5000", "match": "client_id=ap+"}),
        "rd": subscription({"metrics": "b,c", "match": "client_software_name=librd.*, client_id=app"}),
        "part": subscription({"metrics": "no", "match": "client_id=ap"}),
        "port": subscription({"metrics": "no", "match": "client_source_port=.*"}),
    }
    clients = Clients(subscriptions)
    instance_id, instance = clients.ask()
    assert instance.metrics == ("a", "b", "c")
    assert instance.interval_ms == 5000
    again_id, again = Clients(subscriptions).ask(instance_id)
    assert (again_id, again.subscription_id) == (instance_id, instance.subscription_id), "of another broker"
    assert clients.ask()[1].subscription_id != instance.subscription_id
    assert Clients({**subscriptions, **EVERYTHING}).ask()[1].metrics == ("*",)
    assert Clients({}).ask()[1].metrics == ()


def test_one_instance_may_be_meant_alone() -> None:
    instance_id = uuid4()
    only = {"it": subscription({"metrics": "x", "match": f"client_instance_id={instance_id}"})}
    assert Clients(only).ask(instance_id)[1].metrics == ("x",)
    assert Clients(only).ask()[1].metrics == ()


def test_who_asks_or_pushes_before_its_time_is_throttled() -> None:
    clients = Clients()
    instance_id, instance = clients.ask()
    with pytest.raises(KafkaError) as refused:
        clients.ask(instance_id)
    assert refused.value.code is ErrorCode.throttling_quota_exceeded
    assert clients.push(instance_id, instance) is ErrorCode.none, "the first one comes by chance"
    assert clients.push(instance_id, instance) is ErrorCode.throttling_quota_exceeded
    clients.now_ms += 999
    assert clients.push(instance_id, instance) is ErrorCode.throttling_quota_exceeded
    clients.now_ms += 1
    assert clients.push(instance_id, instance) is ErrorCode.none
    assert clients.push(instance_id, instance, terminating=True) is ErrorCode.none
    clients.now_ms += 2000
    assert clients.push(instance_id, instance) is ErrorCode.invalid_request


def test_after_a_changed_subscription_a_client_asks_again_at_once() -> None:
    clients = Clients()
    instance_id, instance = clients.ask()
    assert clients.push(instance_id, instance) is ErrorCode.none
    clients.subscriptions = {"all": subscription({"metrics": "some", "interval.ms": "1000"})}
    assert clients.push(instance_id, instance) is ErrorCode.unknown_subscription_id
    _, other = clients.ask(instance_id)
    assert other.metrics == ("some",)
    clients.now_ms += 1000
    assert clients.push(instance_id, other) is ErrorCode.none


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_instance_id": None}, ErrorCode.invalid_request),
        ({"client_instance_id": UUID(int=1)}, ErrorCode.invalid_request),
        ({"subscription_id": 7}, ErrorCode.unknown_subscription_id),
        ({"compression_type": 9}, ErrorCode.unsupported_compression_type),
        ({"metrics": b"m" * 101}, ErrorCode.telemetry_too_large),
        ({"metrics": b"m" * 100}, ErrorCode.none),
    ],
)
def test_what_is_wrong_with_a_push(changes: dict[str, object], code: ErrorCode) -> None:
    clients = Clients()
    assert clients.push(*clients.ask(), **changes) is code


def test_those_that_are_silent_are_forgotten_and_no_more_are_known_than_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ottla.broker.telemetry.instances._INSTANCES_MAX", 3)
    clients = Clients()
    for _ in range(5):
        clients.ask()
    assert len(clients.instances) == 3
    clients.now_ms += 60_001
    clients.ask()
    assert len(clients.instances) == 1


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"name": "x"}, ErrorCode.invalid_request),
        ({"interval.ms": "99"}, ErrorCode.invalid_request),
        ({"interval.ms": "3600001"}, ErrorCode.invalid_request),
        ({"interval.ms": "soon"}, ErrorCode.invalid_config),
        ({"match": "client_id"}, ErrorCode.invalid_config),
        ({"match": "client_id="}, ErrorCode.invalid_config),
        ({"match": "client_name=x"}, ErrorCode.invalid_config),
        ({"match": "client_id=("}, ErrorCode.invalid_config),
        ({"match": "client_id=a=b"}, ErrorCode.invalid_config),
    ],
)
def test_subscriptions_that_make_no_sense(values: dict[str, str], code: ErrorCode) -> None:
    with pytest.raises(KafkaError) as refused:
        subscription(values)
    assert refused.value.code is code


def test_what_a_client_is_made_with_is_kept_in_part() -> None:
    """Nobody has said who he is by then."""
    (api,) = api_versions.APIS
    services = cast(
        "ClusterServices",
        SimpleNamespace(node=None, metadata=SimpleNamespace(image=MetadataImage()), has_telemetry=True),
    )
    session = Session(ANONYMOUS, "PLAINTEXT", "192.0.2.1")
    asked = ApiVersionsRequest(client_software_name="n" * 32_000, client_software_version="1" * 32_000)
    api.handle(services, RequestContext(session, 18, 4, 1, "c", 0), asked)
    assert session.software == ("n" * 255, "1" * 255)


def test_attributes_are_added_to_each_resource() -> None:
    long = b"\x0a\xc8\x01" + b"\x12\xc5\x01" + b"x" * 197
    told = with_attributes(b"\x0a\x02\x12\x00" + long, {"client_id": "é"})
    added = b"\x0a\x13\x0a\x11\x0a\x09client_id\x12\x04\x0a\x02" + "é".encode()
    assert told == (bytes((0x0A, 2 + len(added))) + b"\x12\x00" + added + b"\x0a\xdd\x01" + long[3:] + added)
    assert with_attributes(b"", {"client_id": "a"}) == b""


@pytest.mark.parametrize(
    "metrics", [b"\x0a", b"\x0a\x05abc", b"\x12\x00", b"\x0a\xff\xff\xff\xff\xff\x01", b"\x0a\x80"]
)
def test_what_is_no_metrics_is_refused(metrics: bytes) -> None:
    with pytest.raises(MalformedMetricsError):
        with_attributes(metrics, {"client_id": "a"})


async def test_what_a_collector_does_not_take_is_dropped_and_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ottla.broker.telemetry.export._RETRIES_S", (0.001,))
    monkeypatch.setattr("ottla.broker.telemetry.export._WAITING_MAX", 10)
    monkeypatch.setattr("ottla.broker.telemetry.export._LAST_S", 60)
    with socket.socket() as bound:  # where nobody answers
        bound.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}/v1/metrics"
        exporter = Exporter(endpoint, {}, ThreadPoolExecutor(1))
        tried: list[bytes] = []
        post = exporter._post

        def note_and_post(metrics: bytes) -> None:
            tried.append(metrics)
            post(metrics)

        monkeypatch.setattr(exporter, "_post", note_and_post)
        for metrics in (b"first", b"other", b"third", b"fours"):
            exporter.send(metrics)
        await exporter.stop()
    assert tried == [b"first", b"first", b"other"], (
        "the others did not fit; a collector that fails is not waited for"
    )
    lines = [each.getMessage() for each in caplog.records if each.name == "ottla.broker.telemetry.export"]
    assert ["fewer than come" in each for each in lines] == [True, False]


async def test_a_push_that_is_larger_than_what_may_wait_is_sent_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ottla.broker.telemetry.export._WAITING_MAX", 10)
    monkeypatch.setattr("ottla.broker.telemetry.export._LAST_S", 60)
    exporter = Exporter("http://127.0.0.1:9/", {}, ThreadPoolExecutor(1))
    posted: list[bytes] = []
    monkeypatch.setattr(exporter, "_post", posted.append)
    exporter.send(b"x" * 11)
    exporter.send(b"y")
    await exporter.stop()
    assert posted == [b"x" * 11]
