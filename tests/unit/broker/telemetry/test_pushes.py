"""What brokers do with what clients push, frame by frame."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from tests.raw_client import RawClient, connect

from ottla.protocol.errors import ErrorCode
from ottla.records.compression import Codec
from ottla.testing import run_broker_async

ASK, PUSH = 71, 72
NOBODY = UUID(int=0)
SETTINGS = {"ottla.telemetry.otlp.endpoint": "http://127.0.0.1:9/", "telemetry.max.bytes": "1000"}


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RawClient]:
    monkeypatch.setattr("ottla.broker.telemetry.export._RETRIES_S", ())  # where nobody answers
    async with run_broker_async(SETTINGS) as broker:
        host, _, port = broker.bootstrap_servers.rpartition(":")
        async with connect(host, int(port)) as connected:
            yield connected


async def push(client: RawClient, metrics: bytes, codec: Codec = Codec.none) -> int:
    """Of a client that comes for the first time."""
    asked: dict[str, Any] = await client.call(ASK, 0, {"client_instance_id": NOBODY})
    assert (asked["error_code"], asked["telemetry_max_bytes"]) == (ErrorCode.none, 1000)
    pushed = {
        "client_instance_id": asked["client_instance_id"],
        "subscription_id": asked["subscription_id"],
        "terminating": False,
        "compression_type": codec,
        "metrics": metrics,
    }
    return (await client.call(PUSH, 0, pushed))["error_code"]  # type: ignore[no-any-return]


def gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(data) + compressor.flush()


async def test_what_is_no_metrics_is_refused(client: RawClient) -> None:
    metrics = b"\x0a\x80\x7d" + bytes(16_000)
    assert await push(client, metrics[:1000]) == ErrorCode.invalid_record, "it ends early"
    assert await push(client, b"no gzip", Codec.gzip) == ErrorCode.invalid_record
    assert await push(client, gzip(b"\x12\x00"), Codec.gzip) == ErrorCode.invalid_record
    assert await push(client, gzip(metrics), Codec.gzip) == ErrorCode.invalid_record, "16,003 bytes"
    assert await push(client, gzip(b"\x0a\xfd\x7c" + bytes(15_997)), Codec.gzip) == ErrorCode.none
    assert await push(client, bytes(1001)) == ErrorCode.telemetry_too_large
    assert await push(client, b"") == ErrorCode.none


async def test_nobody_is_asked_where_nobody_wants_to_know() -> None:
    async with run_broker_async({}) as broker:
        host, _, port = broker.bootstrap_servers.rpartition(":")
        async with connect(host, int(port)) as client:
            rows = (await client.call(18, 2, {}))["api_keys"]
            assert not {ASK, PUSH} & {each["api_key"] for each in rows}
            answer = await client.call(ASK, 0, {"client_instance_id": NOBODY})
            assert answer["error_code"] == ErrorCode.unsupported_version
