"""The page as Prometheus and whoever asks for health see it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict_families
from prometheus_client.parser import text_string_to_metric_families as families
from tests.raw_client import RawClient, connect
from tests.running_broker import Topic, topic

from ottla.broker.assembly import Broker
from ottla.broker.monitoring.groups import GroupMetrics
from ottla.broker.monitoring.monitor import FAMILIES, Monitor
from ottla.broker.monitoring.page import Page
from ottla.broker.monitoring.reference import page as reference_page
from ottla.broker.process import Options, load_broker_settings
from ottla.metrics.families import Kind, Metric
from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch

__all__ = ["topic"]

ROOT = Path(__file__).parents[4]
OFFSET_COMMIT, FIND_COORDINATOR = 8, 10
HOUR_MS = 3_600_000


def get(page: Page, path: str, accept: str = "*/*", method: str = "GET") -> tuple[int, str]:
    host, port = page.address
    request = urllib.request.Request(f"http://{host}:{port}{path}", headers={"Accept": accept}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def ask(page: Page, path: str, accept: str = "*/*", method: str = "GET") -> tuple[int, str]:
    return await asyncio.to_thread(get, page, path, accept, method)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    running = Broker(load_broker_settings(Options(str(tmp_path), "127.0.0.1:0"), None, ()))
    await running.start()
    yield running
    with contextlib.suppress(ValueError):  # a test may have stopped it
        await running.stop()


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[RawClient]:
    async with connect(*broker.node.addresses["PLAINTEXT"]) as connected:
        yield connected


@pytest.fixture
async def page(broker: Broker) -> AsyncIterator[Page]:
    shown = Page(broker.monitor, "127.0.0.1", 0)
    yield shown
    await asyncio.to_thread(shown.stop)


async def values(page: Page) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    status, text = await ask(page, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(text)
        for sample in family.samples
    }


def batch(count: int, timestamp: int) -> bytes:
    return encode_batch([Record(i, timestamp, b"k", b"v") for i in range(count)])


async def commit(client: RawClient, topic: str, offset: int) -> None:
    coordinator = {"key": "g", "key_type": 0}
    while (await client.call(FIND_COORDINATOR, 3, coordinator))["error_code"]:
        await asyncio.sleep(0.05)  # its topic is made
    partition = {"partition_index": 0, "committed_offset": offset, "committed_metadata": None}
    answer = await client.call(
        OFFSET_COMMIT,
        7,
        {
            "group_id": "g",
            "generation_id_or_member_epoch": -1,
            "member_id": "",
            "topics": [{"name": topic, "partitions": [partition]}],
        },
    )
    assert answer["topics"][0]["partitions"][0]["error_code"] == ErrorCode.none


async def test_both_formats_pass_their_parsers_and_every_family_is_there(page: Page) -> None:
    status, plain = await ask(page, "/metrics")
    assert status == 200
    status, strict = await ask(page, "/metrics", "application/openmetrics-text; version=1.0.0")
    assert status == 200
    assert {family.name for family in strict_families(strict)} >= {family.name for family in FAMILIES}
    assert {family.name for family in families(plain)} >= {family.name for family in FAMILIES}


async def test_what_went_in_and_out_is_counted(page: Page, topic: Topic) -> None:
    records = batch(3, 1_000)
    await topic.produce(records)
    await topic.fetch()
    await topic.produce(records, partition=77)
    assert (await topic.fetch(7))["error_code"] == ErrorCode.offset_out_of_range
    assert (await topic.fetch(partition=77))["error_code"] == ErrorCode.unknown_topic_or_partition
    waits = await topic.fetch(3, max_wait_ms=20, min_bytes=1)  # read twice, asked for once
    assert not waits["records"]
    shown = await values(page)
    for name, expected in (
        ("messagesin", 3),
        ("bytesin", len(records)),
        ("bytesout", len(records)),
        ("totalproducerequests", 1),
        ("totalfetchrequests", 3),
        ("failedfetchrequests", 0),
        ("failedproducerequests", 0),
    ):
        key = f"kafka_server_brokertopicmetrics_{name}_total"
        assert shown[key, (("topic", topic.name),)] == expected, name
    assert shown["kafka_server_brokertopicmetrics_totalproducerequests_total", (("topic", ""),)] == 1
    place = (("partition", "0"), ("topic", topic.name))
    assert shown["kafka_log_log_logendoffset", place] == 3
    assert shown["kafka_log_log_size", place] == len(records)
    assert shown["kafka_cluster_partition_underreplicated", place] == 0
    produced = [labels for name, labels in shown if name == "kafka_network_requestmetrics_requests_total"]
    assert "Produce" in {value for labels in produced for key, value in labels if key == "request"}
    assert shown["kafka_controller_kafkacontroller_activecontrollercount", ()] == 1
    assert shown["kafka_server_replicamanager_underreplicatedpartitions", ()] == 0


async def test_lag_in_records_and_seconds_follows_a_stall(
    page: Page, broker: Broker, topic: Topic, client: RawClient
) -> None:
    now_ms = broker.clock.now_ms()
    await topic.produce(batch(10, now_ms - HOUR_MS))
    await commit(client, topic.name, 0)
    place = (("consumergroup", "g"), ("partition", "0"), ("topic", topic.name))
    shown = await values(page)
    assert shown["kafka_consumergroup_lag", place] == 10
    # It was not looked at then: the record says that it came an hour ago.
    assert shown["kafka_consumergroup_lag_seconds", place] == pytest.approx(3600, abs=60)
    assert shown["kafka_consumergroup_current_offset", place] == 0
    await commit(client, topic.name, 10)
    shown = await values(page)
    assert shown["kafka_consumergroup_lag", place] == 0
    assert shown["kafka_consumergroup_lag_seconds", place] == 0
    # What is older than it says: the looks count.
    await topic.produce(batch(5, now_ms - HOUR_MS))
    assert (await values(page))["kafka_consumergroup_lag_seconds", place] < 60


async def test_what_no_record_tells_is_asked_once(
    page: Page, topic: Topic, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def age_ms(_metrics: GroupMetrics, _place: tuple[str, int], offset: int) -> None:
        asked.append(offset)

    monkeypatch.setattr(GroupMetrics, "_age_ms", age_ms)
    await topic.produce(batch(10, 1_000))
    place = (("consumergroup", "g"), ("partition", "0"), ("topic", topic.name))
    for offset in (3, 3, 4):
        await commit(client, topic.name, offset)
        assert (await values(page))["kafka_consumergroup_lag_seconds", place] < 60
    assert asked == [3, 4]


async def test_health_says_why_not(page: Page, broker: Broker) -> None:
    assert await ask(page, "/livez") == (200, "lives\n")
    assert await ask(page, "/readyz") == (200, "serves\n")
    await broker.stop()
    assert await ask(page, "/readyz") == (503, "the broker starts or stops\n")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 200), ("/nothing", "GET", 404), ("/metrics", "POST", 405), ("/metrics", "HEAD", 405)],
)
async def test_other_requests(page: Page, path: str, method: str, status: int) -> None:
    assert (await ask(page, path, method=method))[0] == status


async def test_garbage_and_silence_leave_the_page_to_others(page: Page) -> None:
    silent = [socket.create_connection(page.address) for _ in range(4)]
    with socket.create_connection(page.address) as garbage:
        garbage.sendall(b"\x16\x03\x01" + bytes(range(256)) * 20)
    assert (await ask(page, "/livez"))[0] == 200
    for each in silent:
        each.close()


async def test_a_hung_event_loop_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ottla.broker.monitoring.page._ANSWER_S", 0.05)
    never = asyncio.Event()

    class Hung(Monitor):
        async def why_not_ready(self) -> str | None:
            await never.wait()
            return None

    page = Page(Hung((), (), lambda: None, lambda: None), "127.0.0.1", 0)
    try:
        status, text = await ask(page, "/readyz")
        assert (status, text) == (503, "the broker's event loop does not answer\n")
    finally:
        await asyncio.to_thread(page.stop)


async def test_a_request_that_comes_too_slowly_is_cut_off(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ottla.broker.monitoring.page._REQUEST_S", 0.3)

    def drip() -> None:
        with socket.create_connection(page.address) as slow:
            slow.settimeout(0.05)
            slow.sendall(b"GET /livez HTTP/1.1\r\n")
            for number in range(1000):
                slow.sendall(b"X-%d: y\r\n" % number)
                with contextlib.suppress(TimeoutError):
                    assert slow.recv(1) == b""
                    return
        raise AssertionError("it was let go on for ever")

    with contextlib.suppress(ConnectionError):
        await asyncio.to_thread(drip)
    assert (await ask(page, "/livez"))[0] == 200


class HungMonitor(Monitor):
    """Of an event loop that never gets to what is asked."""

    def __init__(self) -> None:
        super().__init__((), (), lambda: None, lambda: None)
        self.is_asked = asyncio.Event()

    async def collect(self) -> list[Metric]:
        self.is_asked.set()
        await asyncio.Event().wait()
        return []


async def test_nobody_asks_for_metrics_while_they_are_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ottla.broker.monitoring.page._ANSWER_S", 0.05)
    monitor = HungMonitor()
    page = Page(monitor, "127.0.0.1", 0)
    first = asyncio.create_task(ask(page, "/metrics"))
    await monitor.is_asked.wait()
    assert await ask(page, "/metrics") == (503, "another request for metrics is under way\n")
    assert (await ask(page, "/livez"))[0] == 200
    await asyncio.to_thread(page.stop)
    with pytest.raises((OSError, http.client.HTTPException)):
        await first


async def test_nothing_keeps_a_page_from_its_end() -> None:
    monitor = HungMonitor()
    page = Page(monitor, "127.0.0.1", 0)
    asked = asyncio.create_task(ask(page, "/metrics"))
    await monitor.is_asked.wait()
    with socket.create_connection(page.address) as idle:
        assert (await ask(page, "/livez"))[0] == 200  # it has been accepted
        async with asyncio.timeout(10):  # less than a question may take
            await asyncio.to_thread(page.stop)
            await asyncio.to_thread(page._threads.shutdown, wait=True)
        assert idle.recv(1) == b""
    with pytest.raises((OSError, http.client.HTTPException)):
        await asked


async def test_an_address_in_use_is_said(page: Page, broker: Broker) -> None:
    host, port = page.address
    with pytest.raises(OSError, match=f"cannot show metrics on {host}:{port}: address already in use"):
        Page(broker.monitor, host, port)


def test_the_committed_page_is_current() -> None:
    assert (ROOT / "docs/metrics.md").read_text() == reference_page(), (
        "run python -m ottla.broker.monitoring.reference > docs/metrics.md"
    )


def exposed_names() -> set[str]:
    names = set()
    for family in FAMILIES:
        names.add(f"{family.name}_total" if family.kind is Kind.COUNTER else family.name)
    return names


@pytest.mark.parametrize("name", ["grafana-dashboard.json", "prometheus-alerts.yml"])
def test_dashboard_and_alerts_use_nothing_else(name: str) -> None:
    text = (ROOT / "docs/monitoring" / name).read_text()
    if name.endswith(".json"):
        json.loads(text)
    used = set(re.findall(r"\bkafka_\w+", text))
    assert len(used) > 5
    assert used <= exposed_names()


def test_names_are_what_prometheus_takes() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert re.fullmatch(r"[a-z_][a-z0-9_]*", family.name)
        assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label) for label in family.labels)
