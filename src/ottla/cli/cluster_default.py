"""The configs that all brokers share, Kafka's `--entity-default`.

Their resource is the broker with an empty name, which librdkafka refuses to name. So these two requests are
written here, on a connection of their own that knows neither TLS nor SASL.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ottla.cli.connection import REQUEST_TIMEOUT_S, CommandError, Connection, explain

# Keys and versions of APIs: the oldest that Apache Kafka 4 serves, which have no tagged fields.
DESCRIBE_CONFIGS = (32, 1)
INCREMENTAL_ALTER_CONFIGS = (44, 0)

BROKER = 4
SET, DELETE = 0, 1
MAX_RESPONSE_BYTES = 16 << 20


def describe(connection: Connection) -> list[tuple[str, str | None, int, bool]]:
    """Name, value, number of the source, and whether it is read only, of each config; KIP-226."""
    answer = _ask(connection, DESCRIBE_CONFIGS, struct.pack(">ibhib", 1, BROKER, 0, -1, False))
    _check(answer)
    configs = []
    for _ in range(answer.array_size()):
        name, value = answer.text(), answer.nullable()
        is_read_only, source, _is_sensitive = answer.take(">bbb")
        for _ in range(answer.array_size()):  # synonyms
            answer.text(), answer.nullable(), answer.take(">b")
        configs.append((name, value, source, bool(is_read_only)))
    return configs


def alter(
    connection: Connection, settings: Mapping[str, str], deletions: Iterable[str], *, validate_only: bool
) -> None:
    """Set some configs and take others away; KIP-339."""
    changes = [_text(name) + struct.pack(">b", SET) + _text(value) for name, value in settings.items()]
    changes += [_text(name) + struct.pack(">bh", DELETE, -1) for name in deletions]
    resource = struct.pack(">ibhi", 1, BROKER, 0, len(changes))
    _check(_ask(connection, INCREMENTAL_ALTER_CONFIGS, resource + b"".join(changes) + bytes([validate_only])))


def _ask(connection: Connection, api: tuple[int, int], request: bytes) -> Answer:
    """What follows the throttle time in the answer to a request."""
    protocol = connection.config().get("security.protocol", "plaintext")
    if protocol.lower() != "plaintext":
        raise CommandError(
            f"the configs of all brokers cannot be reached over {protocol}, only over plaintext"
        )
    client_id = _text(connection.config()["client.id"])
    frame = struct.pack(">hhi", *api, 0) + client_id + request
    try:
        with connection.connect() as broker, broker.makefile("rb") as received:
            broker.settimeout(REQUEST_TIMEOUT_S)
            broker.sendall(struct.pack(">i", len(frame)) + frame)
            (size,) = struct.unpack(">i", received.read(4))
            if not 8 <= size <= MAX_RESPONSE_BYTES:
                raise CommandError(f"the broker's answer would have {size} bytes")
            answer = Answer(received.read(size))
    except (OSError, struct.error) as error:
        raise CommandError(f"the broker did not answer ({error})") from error
    answer.take(">ii")
    return answer


def _check(answer: Answer) -> None:
    """Read the head of the one result, and fail as it says."""
    from confluent_kafka import KafkaError

    answer.array_size()
    (code,) = answer.take(">h")
    message = answer.nullable()
    answer.take(">b"), answer.text()
    if code:
        raise CommandError(
            f"all brokers: {explain(KafkaError(code, message) if message else KafkaError(code))}"
        )


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > 0x7FFF:
        raise CommandError("a name or value of a config has at most 32,767 bytes")
    return struct.pack(">h", len(data)) + data


@dataclass(slots=True)
class Answer:
    """The body of a response, read from its start; CommandError where it ends too soon."""

    data: bytes
    at: int = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        try:
            values = struct.unpack_from(layout, self.data, self.at)
        except struct.error as error:
            raise CommandError("the broker's answer cannot be understood") from error
        self.at += struct.calcsize(layout)
        return values

    def array_size(self) -> int:
        (size,) = self.take(">i")
        return int(size)

    def nullable(self) -> str | None:
        (size,) = self.take(">h")
        if size < 0:
            return None
        (data,) = self.take(f">{size}s")
        return str(data, errors="replace")

    def text(self) -> str:
        return self.nullable() or ""
