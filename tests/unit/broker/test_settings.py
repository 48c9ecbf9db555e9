"""Settings at work in a running broker, also when they change meanwhile (KIP-226)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import API_VERSIONS, CREATE_TOPICS, METADATA, RawClient, connect
from tests.unit.storage.logs import batch

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.config.broker import broker_config
from ottla.config.layers import BrokerLayers
from ottla.protocol.errors import ErrorCode
from ottla.records.batch import iter_headers
from ottla.records.compression import Codec

DELETE_RECORDS, FIND_COORDINATOR, OFFSET_COMMIT = 21, 10, 8
INCREMENTAL_ALTER_CONFIGS, GROUP_HEARTBEAT, GROUP_DESCRIBE = 44, 68, 69
TOPIC_RESOURCE, BROKER_RESOURCE = 2, 4
SET, DELETE = 0, 1


@contextlib.asynccontextmanager
async def running(tmp_path: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Broker]:
    """A broker in this loop, and all of it to look at."""
    static = {
        "log.dirs": str(tmp_path / "data"),
        "listeners": "PLAINTEXT://127.0.0.1:0",
        "offsets.topic.num.partitions": "1",
        **(settings or {}),
    }
    layers = BrokerLayers(static=static)
    broker = Broker(BrokerSettings(broker_config(layers), layers))
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


@contextlib.asynccontextmanager
async def client_of(broker: Broker) -> AsyncIterator[RawClient]:
    async with connect(*broker.node.addresses["PLAINTEXT"]) as client:
        yield client


async def is_admitted(client: RawClient) -> bool:
    try:
        answer = await client.call(API_VERSIONS, 0, {})
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    return bool(answer["error_code"] == ErrorCode.none)


async def alter(
    client: RawClient, name: str, operation: int, kind: int = BROKER_RESOURCE, **configs: str
) -> None:
    """Change dynamic settings of one broker, or of all with the name "", or of a topic."""
    wanted = [
        {"name": key.replace("_", "."), "config_operation": operation, "value": value}
        for key, value in configs.items()
    ]
    resource = {"resource_type": kind, "resource_name": name, "configs": wanted}
    answer = await client.call(INCREMENTAL_ALTER_CONFIGS, 1, {"resources": [resource]})
    assert answer["responses"][0]["error_code"] == ErrorCode.none, answer


async def create_topic(client: RawClient, name: str) -> None:
    wanted = {"name": name, "num_partitions": 1, "replication_factor": 1}
    created = await client.call(CREATE_TOPICS, 7, {"topics": [wanted], "timeout_ms": 1000})
    assert created["topics"][0]["error_code"] == ErrorCode.none


async def commit_offset(client: RawClient, group_id: str, topic: str) -> None:
    """Commit as a consumer without a group membership, from the making of the offsets topic on."""
    while True:
        found = await client.call(FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": [group_id]})
        partition = {"partition_index": 0, "committed_offset": 3, "committed_metadata": "m" * 500}
        answer = await client.call(
            OFFSET_COMMIT,
            8,
            {
                "group_id": group_id,
                "generation_id_or_member_epoch": -1,
                "topics": [{"name": topic, "partitions": [partition]}],
            },
        )
        codes = {
            found["coordinators"][0]["error_code"],
            answer["topics"][0]["partitions"][0]["error_code"],
        }
        if codes == {ErrorCode.none}:
            return
        assert codes <= {
            ErrorCode.none,
            ErrorCode.coordinator_not_available,
            ErrorCode.coordinator_load_in_progress,
            ErrorCode.not_coordinator,
        }


# -- connections


async def test_an_address_may_have_a_limit_of_its_own(tmp_path: Path) -> None:
    settings = {"max.connections.per.ip": "0", "max.connections.per.ip.overrides": "127.0.0.1:2,192.0.2.1:9"}
    async with running(tmp_path, settings) as broker, client_of(broker) as first, client_of(broker) as second:
        assert await is_admitted(first)
        assert await is_admitted(second)
        async with client_of(broker) as third:
            assert not await is_admitted(third)
        assert await is_admitted(first)


async def test_a_limit_may_name_a_host(tmp_path: Path) -> None:
    settings = {"max.connections.per.ip.overrides": "localhost:0,no-such-host.invalid:1"}
    async with running(tmp_path, settings) as broker, client_of(broker) as client:
        assert not await is_admitted(client)


async def test_limits_on_connections_change_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as broker, client_of(broker) as admin, client_of(broker) as other:
        assert await is_admitted(other)
        for name, configs in (
            ("1", {"max_connections": "2"}),
            ("", {"max_connections_per_ip": "2"}),
            ("", {"max_connections_per_ip_overrides": "127.0.0.1:2"}),
        ):
            await alter(admin, name, SET, **configs)
            async with client_of(broker) as refused:
                assert not await is_admitted(refused)
            await alter(admin, name, DELETE, **configs)
            async with client_of(broker) as welcome:
                assert await is_admitted(welcome)


def accepted_sockets(broker: Broker) -> list[Any]:
    connections = broker._server._shared.connections
    return [each._transport.get_extra_info("socket") for each in connections]


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ("socket.send.buffer.bytes", socket.SO_SNDBUF),
        ("socket.receive.buffer.bytes", socket.SO_RCVBUF),
    ],
)
async def test_sockets_have_the_buffers_that_were_asked_for(
    tmp_path: Path, setting: str, option: int
) -> None:
    sizes = []
    for value in ("-1", "8192", "32768"):
        async with (
            running(tmp_path / value, {setting: value}) as broker,
            client_of(broker) as client,
        ):
            assert await is_admitted(client)
            (accepted,) = accepted_sockets(broker)
            sizes.append(accepted.getsockopt(socket.SOL_SOCKET, option))
    system, small, large = sizes
    assert 8192 <= small < large  # Linux gives twice what is asked for
    assert system not in {small, large}


# -- groups


async def test_groups_are_written_with_the_codec_of_the_setting(tmp_path: Path) -> None:
    async with (
        running(tmp_path, {"offsets.topic.compression.codec": "1"}) as broker,
        client_of(broker) as client,
    ):
        await create_topic(client, "t")
        await commit_offset(client, "g", "t")
        log = broker.partitions.get("__consumer_offsets", 0).log
        records = log.read(0, 1 << 20, log.log_end_offset, min_one=True).records
        assert {header.codec for _, header in iter_headers(records)} == {Codec.gzip}
    async with running(tmp_path) as broker, client_of(broker) as client:
        await commit_offset(client, "g", "t")  # what was written compressed is read again


async def test_without_the_consumer_protocol_its_requests_are_refused(tmp_path: Path) -> None:
    settings = {"group.coordinator.rebalance.protocols": "classic"}
    async with running(tmp_path, settings) as broker, client_of(broker) as client:
        heartbeat = {"group_id": "g", "member_id": "m", "subscribed_topic_names": ["t"]}
        answer = await client.call(GROUP_HEARTBEAT, 0, heartbeat)
        assert answer["error_code"] == ErrorCode.unsupported_version
        described = await client.call(GROUP_DESCRIBE, 0, {"group_ids": ["g", "h"]})
        assert [(group["group_id"], group["error_code"]) for group in described["groups"]] == [
            ("g", ErrorCode.unsupported_version),
            ("h", ErrorCode.unsupported_version),
        ]


async def test_the_interval_of_assignments_changes_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as broker, client_of(broker) as client:
        await create_topic(client, "t")
        await commit_offset(client, "g", "t")
        await alter(client, "", SET, group_consumer_assignment_interval_ms="7")
        owner = broker.groups.owner_of("g")
        assert owner.shard.state.config.group_consumer_assignment_interval_ms == 7
        await alter(client, "", DELETE, group_consumer_assignment_interval_ms="7")
        assert owner.shard.state.config.group_consumer_assignment_interval_ms == 1000


async def test_groups_of_all_partitions_share_the_heartbeats_that_may_be_asked_for(tmp_path: Path) -> None:
    settings = {
        "offsets.topic.num.partitions": "2",
        "ottla.group.consumer.rebalance.heartbeat.interval.ms": "300",
        "ottla.group.consumer.rebalance.heartbeats.per.second.max": "1",
        "ottla.group.consumer.rebalance.settling.ms": "600000",
    }
    intervals = []
    async with running(tmp_path, settings) as broker, client_of(broker) as client:
        await create_topic(client, "t")
        for group_id in ("a", "b"):
            await commit_offset(client, group_id, "t")
        assert broker.groups.owner_of("a") is not broker.groups.owner_of("b")
        for group_id, member_id in (*(("a", f"m{number}") for number in range(6)), ("b", "m")):
            joining = {"group_id": group_id, "member_id": member_id, "rebalance_timeout_ms": 1000}
            subscription = {"subscribed_topic_names": ["t"], "topic_partitions": []}
            answer = await client.call(GROUP_HEARTBEAT, 1, {**joining, **subscription})
            assert answer["error_code"] == ErrorCode.none, answer
            intervals.append(answer["heartbeat_interval_ms"])
    assert intervals[0] == 300
    assert intervals[-1] > 300


# -- maintenance


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


def is_written(path: Path, line: str) -> bool:
    return path.exists() and line in path.read_text().splitlines()


async def test_log_starts_are_written_down_at_an_interval_of_their_own(tmp_path: Path) -> None:
    settings = {
        "log.initial.task.delay.ms": "0",
        "log.flush.start.offset.checkpoint.interval.ms": "10",
        "log.flush.offset.checkpoint.interval.ms": "3600000",
    }
    async with running(tmp_path, settings) as broker, client_of(broker) as client:
        await eventually((tmp_path / "data/recovery-point-offset-checkpoint").exists)
        await create_topic(client, "t")
        await client.call(METADATA, 12, {"topics": [{"name": "t"}]})
        log = broker.partitions.get("t", 0).log
        log.truncate_fully_and_start_at(5, 0)
        await eventually(lambda: is_written(tmp_path / "data/log-start-offset-checkpoint", "t 0 5"))
        assert not is_written(tmp_path / "data/recovery-point-offset-checkpoint", "t 0 5")


async def test_high_watermarks_are_written_down_at_an_interval_of_their_own_where_they_moved(
    tmp_path: Path,
) -> None:
    settings = {
        "log.initial.task.delay.ms": "3600000",
        "replica.high.watermark.checkpoint.interval.ms": "10",
    }
    checkpoint = tmp_path / "data/replication-offset-checkpoint"
    async with running(tmp_path, settings) as broker, client_of(broker) as client:
        await create_topic(client, "t")
        await client.call(METADATA, 12, {"topics": [{"name": "t"}]})
        await eventually(lambda: is_written(checkpoint, "t 0 0"))
        checkpoint.unlink()
        await broker.maintenance.checkpoint_high_watermarks()
        assert not checkpoint.exists()
        broker.partitions.get("t", 0).append_own(batch(5), 0)
        await eventually(lambda: is_written(checkpoint, "t 0 5"))
        assert not is_written(tmp_path / "data/recovery-point-offset-checkpoint", "t 0 5")


@pytest.mark.parametrize("delay_ms", ["0", "3600000"])
async def test_tasks_first_run_after_the_initial_delay(tmp_path: Path, delay_ms: str) -> None:
    settings = {
        "log.initial.task.delay.ms": delay_ms,
        "log.flush.offset.checkpoint.interval.ms": "3600000",
        "log.flush.start.offset.checkpoint.interval.ms": "3600000",
    }
    checkpoint = tmp_path / "data/log-start-offset-checkpoint"
    async with running(tmp_path, settings) as broker:
        if delay_ms == "0":
            await eventually(checkpoint.exists)
        else:
            for _ in range(20):
                await asyncio.sleep(0)
            assert not checkpoint.exists()
            assert len(broker.partitions) == 0


async def test_a_changed_backoff_has_the_cleaner_look_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as broker, client_of(broker) as client:
        turns = []

        async def run_once() -> None:
            turns.append(broker.config.log_cleaner_backoff_ms)

        monkeypatch.setattr(broker.maintenance._cleaning, "_work", run_once)
        await alter(client, "1", SET, log_cleaner_backoff_ms="11")
        await eventually(lambda: len(turns) > 3)
        assert set(turns) == {11}


async def test_dynamic_settings_that_the_static_ones_contradict_do_not_stop_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as broker, client_of(broker) as client:
        await alter(client, "", SET, log_cleaner_min_compaction_lag_ms="1000", max_connections="7")
        assert broker.config.max_connections == 7
    async with running(tmp_path, {"log.cleaner.max.compaction.lag.ms": "500"}) as broker:
        assert broker.config.max_connections > 7
    assert "dynamic broker configuration has no effect" in caplog.text


async def test_each_listener_opens_and_is_advertised_to_its_own_clients(tmp_path: Path) -> None:
    settings = {
        "listeners": "INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0",
        "advertised.listeners": "INSIDE://127.0.0.1:0,OUTSIDE://broker.example:19092",
        "listener.security.protocol.map": "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        "inter.broker.listener.name": "INSIDE",
    }
    async with running(tmp_path, settings) as broker:
        opened = {name: each.address for name, each in broker._server._listening.items()}
        assert opened["INSIDE"] != opened["OUTSIDE"]
        expected = {"INSIDE": opened["INSIDE"], "OUTSIDE": ("broker.example", 19092)}
        for name, address in opened.items():
            async with connect(*address) as client:
                (shown,) = (await client.call(METADATA, 9, {"topics": []}))["brokers"]
                assert (shown["host"], shown["port"]) == expected[name]


async def test_of_several_listeners_none_is_left_open_when_one_cannot_be_bound(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, free_port = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        settings = {
            "listeners": f"INSIDE://127.0.0.1:{free_port},OUTSIDE://127.0.0.1:{port}",
            "listener.security.protocol.map": "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
            "inter.broker.listener.name": "INSIDE",
        }
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with running(tmp_path, settings):
                pass
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", free_port)
