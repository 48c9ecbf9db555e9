"""Topics into Splunk's HTTP event collector: Splunk's own SplunkSinkConnector."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from ottla.connect.connectors.base import BuiltInSinkConnector, Checks, with_checks
from ottla.connect.connectors.http.client import (
    URL,
    HttpClient,
    Response,
    Servers,
    connection_config,
    failure,
    parsed_headers,
)
from ottla.connect.connectors.payloads import document_json, parsed_json, plain, to_bytes
from ottla.connect.connectors.sinks import TargetError, WritingSinkTask, pieces, retry_config
from ottla.connect.data.schema import Value
from ottla.connect.data.texts import value_text
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, ConfigValue, Importance
from ottla.connect.errors import ConfigError, DataError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AllOf, AtLeast, NonEmptyList

__all__ = ["SplunkSinkConnector", "SplunkSinkTask"]

_MAX_REQUEST: Final = 1 << 20
"""What Splunk recommends, and what its cloud takes"""
_REFUSED: Final = frozenset((1, 2, 3, 4, 10, 11))
"""Codes: tokens that are disabled, missing or unknown, channels that are missing or wrong"""


def _config() -> ConfigDef:
    definition = (
        ConfigDef()
        .define("splunk.hec.uri", ConfigType.LIST, REQUIRED, Importance.HIGH,
                "The collectors: `https://host:8088`; the next one is asked where one does not answer.",
                validator=AllOf(NonEmptyList(), URL), group="Splunk", order=1)
        .define("splunk.hec.token", ConfigType.PASSWORD, REQUIRED, Importance.HIGH, "The collector's token.",
                group="Splunk", order=2)
        .define("splunk.hec.raw", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether values are lines of the raw endpoint, and not events.",
                group="Splunk", order=3)
        .define("splunk.indexes", ConfigType.LIST, (), Importance.MEDIUM,
                "The index for each topic, in the order of `topics`, or one for all.",
                group="Splunk", order=4)
        .define("splunk.sources", ConfigType.LIST, (), Importance.MEDIUM, "The source, likewise.",
                group="Splunk", order=5)
        .define("splunk.sourcetypes", ConfigType.LIST, (), Importance.MEDIUM, "The source type, likewise.",
                group="Splunk", order=6)
        .define("splunk.hec.use.record.timestamp", ConfigType.BOOLEAN, True, Importance.MEDIUM,
                "Whether an event's time is its record's.",
                group="Splunk", order=8)
        .define("splunk.hec.json.event.enrichment", ConfigType.STRING, "", Importance.LOW,
                "Fields of all events: `name=value,name=value`.",
                group="Splunk", order=9)
        .define("splunk.hec.track.data", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether events have topic, partition, offset and timestamp as fields.",
                group="Splunk", order=10)
        .define("splunk.hec.json.event.formatted", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether values are events as the collector has them already.",
                group="Splunk", order=11)
        .define("splunk.hec.ack.enabled", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether to wait until events are in an index; the token has to have that enabled.",
                group="Splunk", order=12)
        .define("splunk.hec.ack.poll.interval", ConfigType.INT, 10, Importance.LOW,
                "After how many seconds that is asked again.",
                validator=AtLeast(0), group="Splunk", order=13)
        .define("splunk.hec.event.timeout", ConfigType.INT, 300, Importance.LOW,
                "How many seconds it may take; then the events are sent again.",
                validator=AtLeast(0), group="Splunk", order=14)
        .define("splunk.hec.max.batch.size", ConfigType.INT, 500, Importance.MEDIUM,
                "How many events a request has, at most.",
                validator=AtLeast(1), group="Writes", order=1)
    )  # fmt: skip
    return connection_config(retry_config(definition))


_LISTS: Final = {"index": "splunk.indexes", "source": "splunk.sources", "sourcetype": "splunk.sourcetypes"}


def _by_topic(settings: Settings, config: Config) -> Mapping[str, Mapping[str, str]]:
    """What each topic's events have; under the empty name those of any other. ConfigError."""
    topics = [topic.strip() for topic in config.get("topics", "").split(",") if topic.strip()]
    found: dict[str, dict[str, str]] = {topic: {} for topic in ("", *topics)}
    for field, name in _LISTS.items():
        given = settings.list(name)
        if len(given) == 1:
            for each in found.values():
                each[field] = given[0]
        elif given and len(given) != len(topics):
            raise ConfigError(
                f"{name} has {len(given)} elements, and topics has {len(topics)}: as many, or one"
            )
        else:
            for topic, one in zip(topics, given, strict=False):
                found[topic][field] = one
    return found


def _enrichment(settings: Settings) -> dict[str, str]:
    given = settings.string("splunk.hec.json.event.enrichment").split(",")
    pairs = "|".join(each.replace("=", ":", 1) for each in given if each.strip())
    return parsed_headers("splunk.hec.json.event.enrichment", pairs, "|")


class SplunkSinkConnector(BuiltInSinkConnector):
    """Records as events of Splunk. A record without a value is left out."""

    kafka_name = "com.splunk.kafka.connect.SplunkSinkConnector"
    renames = {  # noqa: RUF012 - the base says what it is
        "splunk.hec.ssl.validate.certs": "https.host.verifier.enabled"
    }

    def config(self) -> ConfigDef:
        return _config()

    def validate(self, config: Config) -> list[ConfigValue]:
        """Also whether lists go with the topics."""
        checks: Checks = {
            "splunk.indexes": lambda settings: _by_topic(settings, config),
            "splunk.hec.json.event.enrichment": _enrichment,
            "ssl.ca.location": HttpClient,
        }
        return with_checks(self, config, super().validate(config), checks)

    def task_class(self) -> type[SinkTask]:
        return SplunkSinkTask


class SplunkSinkTask(WritingSinkTask):
    """A batch is one request, unless it is too large."""

    kafka_name = "com.splunk.kafka.connect.SplunkSinkTask"
    connector = SplunkSinkConnector

    def connect(self, settings: Settings) -> None:
        token = settings.secret("splunk.hec.token")
        self._channel = str(uuid.uuid4())
        headers = {
            "Authorization": f"Splunk {'' if token is None else token.value}",
            "X-Splunk-Request-Channel": self._channel,
        }
        self._client = HttpClient(settings, headers)
        self._collectors = Servers(self._client, settings.list("splunk.hec.uri"))
        self._topics = _by_topic(settings, self.config)
        self._fields = _enrichment(settings)
        self._is_raw = settings.boolean("splunk.hec.raw")

    def batches(self, records: Sequence[SinkRecord]) -> Sequence[Sequence[SinkRecord]]:
        """Raw lines are of one topic each, whose index stands in the URL."""
        size = self.settings.integer("splunk.hec.max.batch.size")
        groups: dict[str, list[SinkRecord]] = {}
        for record in records:
            if record.value is not None:
                groups.setdefault(record.topic if self._is_raw else "", []).append(record)
        return [each[at : at + size] for each in groups.values() for at in range(0, len(each), size)]

    def write(self, batch: Sequence[SinkRecord]) -> None:
        made: list[tuple[SinkRecord, bytes]] = []
        for record in batch:
            try:
                made.append((record, self._event(record)))
            except DataError as error:
                self.reject(record, error)
        for piece in pieces(made, _MAX_REQUEST):
            self._send(piece[0][0].topic, b"\n".join(data for _, data in piece))

    def _event(self, record: SinkRecord) -> bytes:
        if self._is_raw:
            return to_bytes(record.value_schema, record.value)
        value: Value = plain(record.value)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if self.settings.boolean("splunk.hec.json.event.formatted"):
            return document_json(_object(value))
        event: dict[str, Value] = {**self._of_topic(record.topic), "event": _parsed(value)}
        if self.settings.boolean("splunk.hec.use.record.timestamp") and record.timestamp is not None:
            event["time"] = record.timestamp / 1000
        fields: dict[str, Value] = dict(self._fields)
        for header in record.headers:
            fields[header.key] = value_text(header.schema, header.value)
        if self.settings.boolean("splunk.hec.track.data"):
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset,
                     "timestamp": record.timestamp}  # fmt: skip
            fields |= {f"kafka_{name}": str(one) for name, one in place.items()}
        return document_json({**event, "fields": fields} if fields else event)

    def _of_topic(self, topic: str) -> Mapping[str, str]:
        return self._topics.get(topic, self._topics[""])

    def _send(self, topic: str, body: bytes) -> None:
        path, query = "event", ""
        if self._is_raw:
            path = "raw"
            query = "?" + urlencode({"channel": self._channel, **self._of_topic(topic)})
        content = {"Content-Type": "text/plain" if self._is_raw else "application/json"}
        url, response = self._collectors.send("POST", f"/services/collector/{path}{query}", body, content)
        answer = _answer(response)
        if response.status != 200 or answer.get("code") not in (0, None):
            if answer.get("code") in _REFUSED:
                raise TargetError(f"Splunk takes nothing with this token: {response.told}")
            raise failure("events were not taken", response)
        if self.settings.boolean("splunk.hec.ack.enabled"):
            self._wait(url, answer.get("ackId"))

    def _wait(self, url: str, number: Value) -> None:
        if number is None:
            raise TargetError("splunk.hec.ack.enabled=true, and Splunk's token does not acknowledge")
        end = time.monotonic() + self.settings.integer("splunk.hec.event.timeout")
        path = f"{url}/services/collector/ack?channel={self._channel}"
        while True:
            response = self._client.send("POST", path, json.dumps({"acks": [number]}).encode())
            acks = _answer(response).get("acks")
            if isinstance(acks, dict) and acks.get(str(number)) is True:
                return
            if time.monotonic() >= end:
                raise RetriableError("events were not indexed within splunk.hec.event.timeout")
            time.sleep(self.settings.integer("splunk.hec.ack.poll.interval"))

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()


def _answer(response: Response) -> Mapping[str, Value]:
    try:
        answer = parsed_json(response.body)
    except DataError:
        answer = None
    return answer if isinstance(answer, dict) else {}


def _parsed(value: Value) -> Value:
    """A text that is an object in JSON as that object."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return parsed_json(value.encode("utf-8", "replace"))
        except DataError:
            return value
    return value


def _object(value: Value) -> Mapping[str, Value]:
    found = _parsed(value)
    if not isinstance(found, dict) or "event" not in found:
        raise DataError("splunk.hec.json.event.formatted=true, and the value is no object with an event")
    return found
