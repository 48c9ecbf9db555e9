"""The finalized levels of features: shown, changed, kept, and what they steer."""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.raw_client import API_VERSIONS, CREATE_TOPICS, RawClient, connect

from ottla.metadata import model
from ottla.metadata.transaction import Delete, Transaction
from ottla.protocol.errors import ErrorCode
from ottla.store.sqlite import FILE_NAME, SqliteStore
from ottla.testing import run_broker_async

UPDATE_FEATURES, GROUP_HEARTBEAT, GROUP_DESCRIBE = 57, 68, 69
UNRECORDED = {"metadata.version": 33, "transaction.version": 2, "group.version": 1}
NEWEST = {**UNRECORDED, "ottla.metadata.version": 2}
UPGRADE, SAFE = 1, 2


async def finalized(client: RawClient) -> tuple[int, dict[str, int]]:
    """The epoch, and level by feature."""
    answer = await client.call(API_VERSIONS, 4, {"client_software_name": "t", "client_software_version": "1"})
    levels = {each["name"]: each["max_version_level"] for each in answer["finalized_features"]}
    assert levels == {each["name"]: each["min_version_level"] for each in answer["finalized_features"]}
    return answer["finalized_features_epoch"], levels


async def update(client: RawClient, feature: str, level: int, kind: int, **more: Any) -> dict[str, Any]:
    change = {"feature": feature, "max_version_level": level, "upgrade_type": kind}
    return await client.call(
        UPDATE_FEATURES, 1, {"timeout_ms": 1000, "feature_updates": [change], "validate_only": False, **more}
    )


async def test_levels_are_shown_and_change(client: RawClient) -> None:
    epoch, levels = await finalized(client)
    assert levels == NEWEST
    only = await update(client, "group.version", 0, SAFE, validate_only=True)
    assert only["error_code"] == ErrorCode.none
    refused = await update(client, "group.version", 0, UPGRADE)
    assert refused["error_code"] == ErrorCode.invalid_update_version
    assert "group.version" in refused["error_message"]
    assert refused["results"] == []
    assert await finalized(client) == (epoch, levels)
    done = await update(client, "group.version", 0, SAFE)
    assert (done["error_code"], done["error_message"]) == (ErrorCode.none, None)
    assert [(each["feature"], each["error_code"]) for each in done["results"]] == [("group.version", 0)]
    later, levels = await finalized(client)
    assert later > epoch
    assert levels == {name: level for name, level in NEWEST.items() if name != "group.version"}
    await update(client, "group.version", 1, UPGRADE)
    assert (await finalized(client))[1] == NEWEST


async def test_old_clients_are_not_told_of_features_that_begin_at_level_0(client: RawClient) -> None:
    software = {"client_software_name": "t", "client_software_version": "1"}
    supported = {
        version: {
            each["name"]: (each["min_version"], each["max_version"])
            for each in (await client.call(API_VERSIONS, version, software))["supported_features"]
        }
        for version in (3, 4, 5)
    }
    assert supported[3] == {"metadata.version": (33, 33)}
    later = {"transaction.version": (0, 2), "group.version": (0, 1), "ottla.metadata.version": (0, 2)}
    assert supported[4] == {**supported[3], **later}
    assert supported[5] == supported[4]


async def test_group_version_0_knows_no_consumer_groups(client: RawClient) -> None:
    beat = {"group_id": "g", "member_id": "m", "rebalance_timeout_ms": 1000, "subscribed_topic_names": ["t"]}
    beat["topic_partitions"] = []  # type: ignore[assignment]

    async def codes() -> list[int]:
        described = await client.call(GROUP_DESCRIBE, 0, {"group_ids": ["g"]})
        told = await client.call(GROUP_HEARTBEAT, 0, beat)
        return [told["error_code"], described["groups"][0]["error_code"]]

    await update(client, "group.version", 0, SAFE)
    assert await codes() == [ErrorCode.unsupported_version] * 2
    await update(client, "group.version", 1, UPGRADE)
    assert ErrorCode.unsupported_version not in await codes()


async def test_a_new_folder_keeps_its_levels_and_an_old_one_is_given_none(tmp_path: Path) -> None:
    async with run_broker_async(data_dir=tmp_path) as broker, connect(broker.host, broker.port) as client:
        first = await finalized(client)
        assert first[0] > 0
        await update(client, "transaction.version", 1, SAFE)
    async with run_broker_async(data_dir=tmp_path) as broker, connect(broker.host, broker.port) as client:
        assert (await finalized(client))[1] == {**NEWEST, "transaction.version": 1}
    with ThreadPoolExecutor(1) as executor:
        store = SqliteStore(str(tmp_path / FILE_NAME), executor, lambda: 0)
        await store.open()
        await store.transaction(Transaction(writes=(Delete(model.FEATURES),)))
        await store.close()
    # What the level of the metadata is too low for is not said before it is raised.
    cordoned = {"cordoned.log.dirs": "*"}
    async with (
        run_broker_async(cordoned, data_dir=tmp_path) as broker,
        connect(broker.host, broker.port) as client,
    ):
        assert await finalized(client) == (0, UNRECORDED)
        assert await creation(client, "t") == ErrorCode.none
        await update(client, "ottla.metadata.version", 2, UPGRADE)
        async with asyncio.timeout(60):
            for number in itertools.count():
                if await creation(client, f"u-{number}") == ErrorCode.invalid_replication_factor:
                    break


async def creation(client: RawClient, name: str) -> int:
    wanted = {"name": name, "num_partitions": 1, "replication_factor": 1}
    created = await client.call(CREATE_TOPICS, 7, {"topics": [wanted], "timeout_ms": 30_000})
    code: int = created["topics"][0]["error_code"]
    return code
