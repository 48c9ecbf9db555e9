"""What the clients of a connector's tasks are made with, from the worker's and the connector's settings.
Pure.

`producer.*`, `consumer.*` and `admin.*` of the worker, then `producer.override.*` and so on of the connector.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.producer.settings import ProducerSettings
from ottla.client.settings import ClientSettings, names_of
from ottla.connect.worker.ids import ConnectorTaskId

Config = Mapping[str, str]
Parts = tuple[dict[str, str], dict[str, str]]
"""What connections go by, and what the client does itself"""

_OWN: Final = {"producer": ProducerSettings, "consumer": ConsumerSettings, "admin": None}


@cache
def _names(kind: str) -> tuple[frozenset[str], frozenset[str]]:
    own = _OWN[kind]
    return frozenset(names_of(ClientSettings)), frozenset(() if own is None else names_of(own))


def worker_client(given: Config) -> dict[str, str]:
    """Of the worker itself: its connections; what is no setting of a client is left out."""
    connection, _ = _names("admin")
    return {name: value for name, value in given.items() if name in connection and value}


def client_parts(kind: str, given: Config, connector: Config, defaults: Config) -> Parts:
    """Names that Kafka's clients have and ours do not are left out: serializers, interceptors, metrics."""
    merged = {"bootstrap.servers": given["bootstrap.servers"], **defaults}
    for prefix, source in ((f"{kind}.", given), (f"{kind}.override.", connector)):
        merged |= {
            name.removeprefix(prefix): value for name, value in source.items() if name.startswith(prefix)
        }
    connection, own = _names(kind)
    names = {name: value for name, value in merged.items() if value}
    return (
        {name: value for name, value in names.items() if name in connection},
        {name: value for name, value in names.items() if name in own and name not in connection},
    )


def source_clients(
    given: Config, connector: Config, task: ConnectorTaskId, transactional_id: str | None
) -> dict[str, Parts]:
    producer = {
        "client.id": f"connector-producer-{task}",
        "acks": "all",
        "delivery.timeout.ms": "2147483647",
        "max.block.ms": "9223372036854775807",
    }
    if transactional_id is not None:
        producer |= {"transactional.id": transactional_id, "enable.idempotence": "true"}
    return {
        "producer": client_parts("producer", given, connector, producer),
        "admin": client_parts("admin", given, connector, {"client.id": f"connector-adminclient-{task}"}),
    }


def sink_group(connector: Config, name: str) -> str:
    return connector.get("consumer.override.group.id", f"connect-{name}")


def sink_clients(given: Config, connector: Config, task: ConnectorTaskId) -> dict[str, Parts]:
    consumer = {
        "client.id": f"connector-consumer-{task}",
        "group.id": sink_group(connector, task.connector),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": "false",
    }
    letters = {"client.id": f"connector-dlq-producer-{task}", "acks": "all"}
    return {
        "consumer": client_parts("consumer", given, connector, consumer),
        "producer": client_parts("producer", given, connector, letters),
        "admin": client_parts("admin", given, connector, {"client.id": f"connector-dlq-adminclient-{task}"}),
    }


def transactional_id(group: str, task: ConnectorTaskId) -> str:
    """Of a source's task with exactly once (KIP-618)."""
    return f"{group}-{task.connector}-{task.task}"
