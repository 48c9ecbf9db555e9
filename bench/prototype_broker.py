"""A floor for benchmarks, not a design: the least code that lets librdkafka produce, fetch and list offsets.

Unsafe, incomplete, single node, no groups; keeps its index in memory and believes what clients send.
Run: `DATA=<empty folder> NP=<partitions> python prototype_broker.py PORT`.
"""

from __future__ import annotations

import asyncio
import bisect
import datetime as dt
import gc
import io
import os
import struct
import sys
import uuid
from collections.abc import Callable
from typing import Any

import kio.schema.api_versions.v3.response as api_versions
import kio.schema.fetch.v12.request as fetch
import kio.schema.list_offsets.v7.request as list_offsets
import kio.schema.list_offsets.v7.response as offsets_listed
import kio.schema.metadata.v12.request as metadata
import kio.schema.metadata.v12.response as described
import kio.schema.produce.v9.request as produce
import uvloop
from google_crc32c import value as crc32c
from kio.schema.errors import ErrorCode
from kio.schema.types import BrokerId, TopicName
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i16, i32, i64

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 19092
PARTITIONS = int(os.environ.get("NP", "3"))
APIS = [(0, 9, 9), (1, 12, 12), (2, 7, 7), (3, 12, 12), (18, 0, 3)]
RECEIVE_BYTES = 65536

read_produce = entity_reader(produce.ProduceRequest)
read_fetch = entity_reader(fetch.FetchRequest)
read_metadata = entity_reader(metadata.MetadataRequest)
read_list_offsets = entity_reader(list_offsets.ListOffsetsRequest)
write_metadata = entity_writer(described.MetadataResponse)
write_api_versions = entity_writer(api_versions.ApiVersionsResponse)
write_list_offsets = entity_writer(offsets_listed.ListOffsetsResponse)


class Log:
    """One file, with every batch's position in memory."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.end_offset = 0
        self.size = 0
        self.index: list[tuple[int, int]] = []
        self.waiters: list[asyncio.Future[None]] = []

    def append(self, batch: bytes) -> int:
        """Append a batch whose CRC is right; its base offset."""
        (crc,) = struct.unpack_from(">I", batch, 17)
        if crc32c(batch[21:]) != crc:
            raise ValueError("CRC")
        (count,) = struct.unpack_from(">i", batch, 57)
        base_offset = self.end_offset
        os.writev(self.fd, [struct.pack(">q", base_offset), batch[8:]])
        self.index.append((base_offset, self.size))
        self.end_offset += count
        self.size += len(batch)
        if self.waiters:
            waiters, self.waiters = self.waiters, []
            for future in waiters:
                if not future.done():
                    future.set_result(None)
        return base_offset

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Batches from the one that holds `offset` on."""
        position = self.index[bisect.bisect_right(self.index, (offset, 1 << 62)) - 1][1]
        return os.pread(self.fd, min(max_bytes, self.size - position), position)


logs: dict[tuple[str, int], Log] = {}


def log_of(topic: str, partition: int) -> Log:
    """The log of a partition, made at first use."""
    key = (topic, partition)
    if key not in logs:
        logs[key] = Log(f"{os.environ['DATA']}/{topic}-{partition}.log")
    return logs[key]


def uvarint(value: int) -> bytes:
    """An unsigned varint."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def compact(text: str) -> bytes:
    """A compact string."""
    encoded = text.encode()
    return uvarint(len(encoded) + 1) + encoded


class Connection(asyncio.BufferedProtocol):
    """Frames in, responses out."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.small = bytearray(RECEIVE_BYTES)
        self.small_view = memoryview(self.small)
        self.have = 0
        self.big: bytearray | None = None
        transport.set_write_buffer_limits(high=1 << 24)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return (self.small_view if self.big is None else memoryview(self.big))[self.have :]

    def buffer_updated(self, nbytes: int) -> None:
        self.have += nbytes
        if self.big is not None:
            if self.have == len(self.big):
                whole, self.big, self.have = self.big, None, 0
                self.handle(memoryview(whole).toreadonly())
            return
        position, have, view = 0, self.have, self.small_view
        while have - position >= 4:
            (size,) = struct.unpack_from(">i", self.small, position)
            if have - position - 4 < size:
                if size + 4 > RECEIVE_BYTES:
                    self.big = bytearray(size)
                    self.have = have - position - 4
                    self.big[: self.have] = view[position + 4 : have]
                    return
                break
            self.handle(memoryview(bytes(view[position + 4 : position + 4 + size])))
            position += 4 + size
        if position:
            rest = bytes(view[position:have])
            self.small[: len(rest)] = rest
            self.have = len(rest)

    def handle(self, frame: memoryview) -> None:
        """Route one request."""
        key, version, correlation_id, client_length = struct.unpack_from(">hhih", frame)
        position = 10 + max(0, client_length) + (not (key == 18 and version < 3))
        HANDLERS[key](self, frame, position, correlation_id, version)

    def respond(self, correlation_id: int, body: bytes, *, flexible: bool = True) -> None:
        """Send a response."""
        head = struct.pack(">ii", len(body) + 4 + flexible, correlation_id) + b"\0" * flexible
        self.transport.write(head + body)

    def produce(self, frame: memoryview, position: int, correlation_id: int, _version: int) -> None:
        request = read_produce(frame, position)[0]
        out = [uvarint(len(request.topic_data) + 1)]
        for topic in request.topic_data:
            out.append(compact(topic.name) + uvarint(len(topic.partition_data) + 1))
            for data in topic.partition_data:
                base_offset = log_of(topic.name, data.index).append(data.records)
                out.append(struct.pack(">ihqqq", data.index, 0, base_offset, -1, 0) + b"\x01\x00\x00")
            out.append(b"\0")
        out.append(b"\0\0\0\0\0")
        if request.acks != 0:
            self.respond(correlation_id, b"".join(out))

    def fetch(self, frame: memoryview, position: int, correlation_id: int, _version: int) -> None:
        self.answer_fetch(correlation_id, read_fetch(frame, position)[0])

    def answer_fetch(self, correlation_id: int, request: Any, *, final: bool = False) -> None:
        """Answer with what there is; with nothing, once there is something or the time is over."""
        out = [struct.pack(">ihi", 0, 0, 0), uvarint(len(request.topics) + 1)]
        total, asked = 0, []
        for topic in request.topics:
            out.append(compact(topic.topic) + uvarint(len(topic.partitions) + 1))
            for each in topic.partitions:
                log = log_of(topic.topic, each.partition)
                asked.append(log)
                data = b""
                if each.fetch_offset < log.end_offset and total < request.max_bytes:
                    data = log.read(each.fetch_offset, each.partition_max_bytes)
                    total += len(data)
                fixed = struct.pack(">ihqqq", each.partition, 0, log.end_offset, log.end_offset, 0)
                out += [fixed + b"\x01" + struct.pack(">i", -1) + uvarint(len(data) + 1), data, b"\0"]
            out.append(b"\0")
        if total == 0 and not final:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            for log in asked:
                log.waiters.append(future)
            wait_s = request.max_wait.total_seconds()
            timer = loop.call_later(wait_s, lambda: future.done() or future.set_result(None))
            future.add_done_callback(
                lambda _: (timer.cancel(), self.answer_fetch(correlation_id, request, final=True))
            )
            return
        out.append(b"\0")
        size = sum(map(len, out))
        self.transport.writelines([struct.pack(">iiB", size + 5, correlation_id, 0), *out])

    def list_offsets(self, frame: memoryview, position: int, correlation_id: int, _version: int) -> None:
        request = read_list_offsets(frame, position)[0]
        topics = tuple(
            offsets_listed.ListOffsetsTopicResponse(
                name=topic.name,
                partitions=tuple(
                    offsets_listed.ListOffsetsPartitionResponse(
                        partition_index=each.partition_index,
                        error_code=ErrorCode.none,
                        timestamp=i64(-1),
                        offset=i64(
                            0 if each.timestamp == -2 else log_of(topic.name, each.partition_index).end_offset
                        ),
                        leader_epoch=i32(0),
                    )
                    for each in topic.partitions
                ),
            )
            for topic in request.topics
        )
        response = offsets_listed.ListOffsetsResponse(throttle_time=dt.timedelta(0), topics=topics)
        self.respond(correlation_id, encode(write_list_offsets, response))

    def metadata(self, frame: memoryview, position: int, correlation_id: int, _version: int) -> None:
        request = read_metadata(frame, position)[0]
        self_id = BrokerId(1)
        partitions = tuple(
            described.MetadataResponsePartition(
                error_code=ErrorCode.none,
                partition_index=i32(index),
                leader_id=self_id,
                leader_epoch=i32(0),
                replica_nodes=(self_id,),
                isr_nodes=(self_id,),
                offline_replicas=(),
            )
            for index in range(PARTITIONS)
        )
        topics = tuple(
            described.MetadataResponseTopic(
                error_code=ErrorCode.none,
                name=TopicName(topic.name),
                topic_id=uuid.uuid5(uuid.NAMESPACE_DNS, topic.name),
                is_internal=False,
                partitions=partitions,
                topic_authorized_operations=i32(0),
            )
            for topic in request.topics or ()
        )
        broker = described.MetadataResponseBroker(
            node_id=self_id, host="127.0.0.1", port=i32(PORT), rack=None
        )
        response = described.MetadataResponse(
            throttle_time=dt.timedelta(0),
            brokers=(broker,),
            cluster_id="prototype",
            controller_id=self_id,
            topics=topics,
        )
        self.respond(correlation_id, encode(write_metadata, response))

    def api_versions(self, _frame: memoryview, _position: int, correlation_id: int, version: int) -> None:
        if version != 3:
            body = struct.pack(">hi", 35 if version > 3 else 0, len(APIS))
            body += b"".join(struct.pack(">hhh", *api) for api in APIS)
        else:
            keys = tuple(
                api_versions.ApiVersion(api_key=i16(key), min_version=i16(low), max_version=i16(high))
                for key, low, high in APIS
            )
            response = api_versions.ApiVersionsResponse(
                error_code=ErrorCode.none, api_keys=keys, throttle_time=dt.timedelta(0)
            )
            body = encode(write_api_versions, response)
        self.respond(correlation_id, body, flexible=False)


def encode(write: Any, response: Any) -> bytes:
    """A response's bytes."""
    buffer = io.BytesIO()
    write(buffer, response)
    return buffer.getvalue()


HANDLERS: dict[int, Callable[..., None]] = {
    0: Connection.produce,
    1: Connection.fetch,
    2: Connection.list_offsets,
    3: Connection.metadata,
    18: Connection.api_versions,
}


async def main() -> None:
    """Listen until killed."""
    os.makedirs(os.environ["DATA"], exist_ok=True)
    gc.freeze()
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", PORT)
    await server.serve_forever()


uvloop.run(main())
