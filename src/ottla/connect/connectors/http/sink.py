"""Topics to a server, over HTTP: Confluent's HttpSinkConnector."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import quote

from ottla.connect.connectors.base import BuiltInSinkConnector, Checks
from ottla.connect.connectors.http.client import (
    PASSING,
    URL,
    HttpClient,
    auth_config,
    check_auth,
    connection_config,
    failure,
    parsed_headers,
    passing,
)
from ottla.connect.connectors.payloads import json_of, key_text, named, to_bytes
from ottla.connect.connectors.sinks import WritingSinkTask, retry_config
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import SinkTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, OneOf, OneOfIgnoringCase

__all__ = ["HttpSinkConnector", "HttpSinkTask"]

_log: Final = logging.getLogger(__name__)

_CODES: Final = re.compile(r"([0-9]{3})(?:(-)([0-9]{3})?)?")
_PLACE: Final = re.compile(r"\$\{(\w*)\}")


def _config() -> ConfigDef:
    definition = (
        ConfigDef()
        .define("http.api.url", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "Where requests go; `${topic}`, `${partition}` and `${key}` are filled in.",
                validator=URL, group="Request", order=1)
        .define("request.method", ConfigType.STRING, "POST", Importance.HIGH, "The method.",
                validator=OneOfIgnoringCase("POST", "PUT", "PATCH", "DELETE"), group="Request", order=2)
        .define("headers", ConfigType.STRING, "", Importance.HIGH, "Headers: `Name:value|Name:value`.",
                group="Request", order=3)
        .define("header.separator", ConfigType.STRING, "|", Importance.LOW, "What is between two of them.",
                group="Request", order=4)
        .define("request.body.format", ConfigType.STRING, "json", Importance.MEDIUM,
                "`json`: values as JSON. `string`: texts and bytes as they are.",
                validator=OneOfIgnoringCase("json", "string"), group="Request", order=5)
        .define("behavior.on.null.values", ConfigType.STRING, "ignore", Importance.LOW,
                "What becomes of a record without a value: nothing, a DELETE, or an error.",
                validator=OneOfIgnoringCase("ignore", "delete", "fail"), group="Request", order=6)
        .define("batch.max.size", ConfigType.INT, 1, Importance.HIGH,
                "How many records a request has, at most.",
                validator=AtLeast(1), group="Batches", order=1)
        .define("batch.key.pattern", ConfigType.STRING, "${key},${topic}", Importance.HIGH,
                "Records for which this is the same may be in one request, and keep their order.",
                group="Batches", order=2)
        .define("batch.prefix", ConfigType.STRING, "", Importance.HIGH, "In front of the records.",
                group="Batches", order=3)
        .define("batch.suffix", ConfigType.STRING, "", Importance.HIGH, "Behind them.",
                group="Batches", order=4)
        .define("batch.separator", ConfigType.STRING, ",", Importance.HIGH,
                "Between two; `\\n` is a new line.",
                group="Batches", order=5)
        .define("batch.json.as.array", ConfigType.BOOLEAN, False, Importance.HIGH,
                "Whether a request is an array, of one record as well.",
                group="Batches", order=6)
        .define("retry.on.status.codes", ConfigType.STRING, "408,425,429,500-", Importance.MEDIUM,
                "Statuses after which a request is sent again: codes, `400-` and `500-599`.",
                group="Retries", order=3)
        .define("behavior.on.error", ConfigType.STRING, "fail", Importance.LOW,
                "What becomes of records that the server does not take: `fail` leaves that to the error "
                "policy, `log` and `ignore` leave them out.",
                validator=OneOf("fail", "log", "ignore"), group="Retries", order=4)
    )  # fmt: skip
    return connection_config(auth_config(retry_config(definition)))


def _retried(settings: Settings) -> Callable[[int], bool]:
    """Whether a status is tried again. ConfigError."""
    given = settings.string("retry.on.status.codes")
    ranges: list[range] = []
    for each in filter(None, (part.strip() for part in given.split(","))):
        match = _CODES.fullmatch(each)
        if match is None:
            raise ConfigError(
                f"retry.on.status.codes={given}: {each!r} is no status, as 429, 500- or 500-599"
            )
        last = match[3] or ("999" if match[2] else match[1])
        ranges.append(range(int(match[1]), int(last) + 1))
    return lambda status: any(status in each for each in ranges)


def _headers(settings: Settings) -> dict[str, str]:
    return parsed_headers("headers", settings.string("headers"), settings.string("header.separator"))


def _check_places(settings: Settings) -> None:
    for name in ("http.api.url", "batch.key.pattern"):
        for place in _PLACE.findall(settings.string(name)):
            if place not in ("topic", "partition", "key"):
                raise ConfigError(
                    f"{name}: there is ${{topic}}, ${{partition}} and ${{key}}, no ${{{place}}}"
                )


def _segment(text: str) -> str:
    """As a part of a path that leads nowhere else. DataError for those that do, however they are written."""
    if text in (".", ".."):
        raise DataError(f"{text!r} cannot be a part of a URL: it stands for another place")
    return quote(text, safe="")


class HttpSinkConnector(BuiltInSinkConnector):
    """Records as requests to a server, one by one or in batches."""

    kafka_name = "io.confluent.connect.http.HttpSinkConnector"

    def config(self) -> ConfigDef:
        return _config()

    def checks(self) -> Checks:
        return {
            "headers": _headers,
            "auth.type": check_auth,
            "retry.on.status.codes": _retried,
            "http.api.url": _check_places,
            "ssl.ca.location": HttpClient,
        }

    def task_class(self) -> type[SinkTask]:
        return HttpSinkTask


class HttpSinkTask(WritingSinkTask):
    """A batch is one request."""

    kafka_name = "io.confluent.connect.http.HttpSinkTask"
    connector = HttpSinkConnector

    def connect(self, settings: Settings) -> None:
        self._is_json = settings.string("request.body.format").lower() == "json"
        content = "application/json" if self._is_json else "text/plain; charset=utf-8"
        self._client = HttpClient(settings, {"Content-Type": content, **_headers(settings)})
        self._is_retried = _retried(settings)
        self._on_null = settings.string("behavior.on.null.values").lower()
        self._url = settings.string("http.api.url")
        self._separator = settings.string("batch.separator").replace("\\n", "\n").encode()

    def batches(self, records: Sequence[SinkRecord]) -> Iterable[Sequence[SinkRecord]]:
        """By URL and pattern, in the order of their first record; a DELETE is by itself."""
        groups: dict[tuple[str, str], list[list[SinkRecord]]] = {}
        size = self.settings.integer("batch.max.size")
        for record in records:
            if record.value is None and self._on_null == "ignore":
                continue
            try:
                batches = groups.setdefault((self._place(record), self._batch_key(record)), [])
            except DataError as error:
                self.reject(record, error)
                continue
            last = batches[-1] if batches else ()
            if not last or len(last) == size or None in (record.value, last[-1].value):
                batches.append([record])
            else:
                batches[-1].append(record)
        return [batch for batches in groups.values() for batch in batches]

    def _place(self, record: SinkRecord) -> str:
        return named(self._url, record, _segment)

    def _batch_key(self, record: SinkRecord) -> str:
        pattern = self.settings.string("batch.key.pattern")
        if "${key}" in pattern:
            pattern = pattern.replace("${key}", "null" if record.key is None else key_text(record))
        return named(pattern, record)

    def write(self, batch: Sequence[SinkRecord]) -> None:
        url = self._place(batch[0])
        if batch[0].value is not None:
            method, body = self.settings.string("request.method").upper(), self._body(batch)
        elif self._on_null == "delete":
            method, body = "DELETE", None
        else:
            raise DataError("a record without a value, and behavior.on.null.values=fail")
        response = self._client.send(method, url, body)
        if 200 <= response.status < 300:
            return
        text = f"{method} {url.partition('?')[0]}: {response.told}"
        if self._is_retried(response.status):
            raise passing(text, response)
        if response.status in PASSING:  # not to be tried again here
            raise ConnectError(text)
        raise failure(f"{method} {url.partition('?')[0]}", response)

    def _body(self, batch: Sequence[SinkRecord]) -> bytes:
        settings = self.settings
        made = [self._one(record) for record in batch]
        if self._is_json and settings.boolean("batch.json.as.array"):
            return b"[%b]" % b",".join(made)
        body = self._separator.join(made)
        return settings.string("batch.prefix").encode() + body + settings.string("batch.suffix").encode()

    def _one(self, record: SinkRecord) -> bytes:
        if self._is_json and not isinstance(record.value, str | bytes):
            return json_of(record.value_schema, record.value)
        return to_bytes(record.value_schema, record.value)

    @property
    def tolerates(self) -> bool:
        return self.settings.string("behavior.on.error") != "fail" or super().tolerates

    def reject(self, record: SinkRecord, error: ConnectError) -> None:
        behavior = self.settings.string("behavior.on.error")
        if behavior == "fail":
            super().reject(record, error)
        elif behavior == "log":
            _log.error("%s is left out: %s", record.where, error)

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()
