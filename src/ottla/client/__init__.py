"""A client of any Kafka, in columns.

    from ottla import client

    with client.connect("127.0.0.1:9092") as c:
        table = c.read("orders", start="-1h", value=client.json())  # a pyarrow.Table; value is a struct
        c.write("copy", table)
        c.write("people", frame, key="name")  # any table: a column as key, the others as value
        with c.producer() as producer:
            producer.send("orders", b"value", key=b"key")
        with c.consumer(["orders"], group="g", auto_offset_reset="earliest") as reader:
            for batch in reader.batches(timeout_s=1):
                ...
                batch.commit()

`connect_async` is the same for asyncio. Settings have Kafka's names. What goes wrong is a `ClientError`. Of
Ottla the client knows the protocol and the record format, and of a broker only what `bootstrap.servers` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ottla.client.errors import ClientError
from ottla.client.values.factories import avro, json, json_schema, protobuf, raw, registry, text
from ottla.client.values.interface import DeadLetterTopic

if TYPE_CHECKING:
    from ottla.client.connecting import AsyncClient
    from ottla.client.sync.client import Client

__all__ = [
    "ClientError",
    "DeadLetterTopic",
    "avro",
    "connect",
    "connect_async",
    "json",
    "json_schema",
    "protobuf",
    "raw",
    "registry",
    "text",
]


def connect(
    bootstrap_servers: str | Iterable[str] | None = None,
    settings: Mapping[str, object] = {},
    **more: object,
) -> Client:
    """A client of the cluster behind `host:port,...`, connected. Use it with `with`, or `close` it; what is
    forgotten is closed when it is garbage, or with the process.

    `settings` are Kafka's (`{"request.timeout.ms": 5000}`); as keywords they have `_` for `.`. Raises
    BrokerUnreachableError with the reason, ConfigurationError for a setting that there is not.
    """
    from ottla.client.connecting import client_settings
    from ottla.client.sync.client import Client

    return Client(client_settings(bootstrap_servers, settings, more))


def connect_async(
    bootstrap_servers: str | Iterable[str] | None = None,
    settings: Mapping[str, object] = {},
    **more: object,
) -> AsyncClient:
    """As `connect`, for the running event loop: `async with connect_async("host:9092") as c`."""
    from ottla.client.connecting import AsyncClient, client_settings

    return AsyncClient(client_settings(bootstrap_servers, settings, more))
