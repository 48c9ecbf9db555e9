"""Topics into whatever takes Prometheus' remote write: Prometheus, Mimir, Thanos, VictoriaMetrics."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ottla.connect.connectors.base import BuiltInSinkConnector, Checks
from ottla.connect.connectors.http.client import (
    URL,
    HttpClient,
    auth_config,
    check_auth,
    connection_config,
    failure,
    parsed_headers,
)
from ottla.connect.connectors.payloads import document_of
from ottla.connect.connectors.sinks import WritingSinkTask, batch_config
from ottla.connect.data.schema import Value
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import SinkTask
from ottla.connect.settings import Settings
from ottla.connect.validators import OneOf

__all__ = ["PrometheusRemoteWriteSinkConnector", "encoded"]

_log: Final = logging.getLogger(__name__)

_OLD: Final = re.compile(rb"out of order sample|duplicate sample|out of bounds|too old sample")
_NAME: Final = re.compile(r"[^a-zA-Z0-9_:]")
_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")
_HEADERS: Final = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


class Sample(NamedTuple):
    labels: tuple[tuple[str, str], ...]
    """In the order of their names, `__name__` among them"""
    timestamp: int
    """Milliseconds since 1970"""
    value: float


class PrometheusRemoteWriteSinkConnector(BuiltInSinkConnector):
    """Records as samples of metrics.

    A value has a `name`, a number as `value` (or `values.doubleValue`, as Confluent's metrics have it), and
    perhaps `labels` (or `dimensions`), a map, and a `timestamp` in milliseconds, without which it is the
    record's. A record without a value is left out.
    """

    kafka_name = "ottla.connect.connectors.prometheus.PrometheusRemoteWriteSinkConnector"

    def config(self) -> ConfigDef:
        definition = (
            ConfigDef()
            .define("remote.write.url", ConfigType.STRING, REQUIRED, Importance.HIGH,
                    "Where to: `http://host:9090/api/v1/write`.",
                    validator=URL, group="Prometheus", order=1)
            .define("headers", ConfigType.STRING, "", Importance.MEDIUM,
                    "More headers, such as a tenant's: `Name:value|Name:value`.",
                    group="Prometheus", order=2)
            .define("external.labels", ConfigType.LIST, (), Importance.MEDIUM,
                    "Labels of all samples: `name=value`.",
                    group="Prometheus", order=3)
            .define("behavior.on.old.samples", ConfigType.STRING, "log", Importance.LOW,
                    "What becomes of samples that are older than what the server has of their series, as "
                    "those that come again after a crash: `log` leaves them out and says so, `fail` leaves "
                    "them to the error policy.",
                    validator=OneOf("log", "fail"), group="Prometheus", order=4)
        )  # fmt: skip
        return connection_config(auth_config(batch_config(definition, batch=500)))

    def checks(self) -> Checks:
        return {
            "headers": _headers,
            "external.labels": _external,
            "auth.type": check_auth,
            "ssl.ca.location": HttpClient,
        }

    def task_class(self) -> type[SinkTask]:
        return PrometheusRemoteWriteSinkTask


def _headers(settings: Settings) -> dict[str, str]:
    return parsed_headers("headers", settings.string("headers"), "|")


def _external(settings: Settings) -> dict[str, str]:
    pairs = [each.replace("=", ":", 1) for each in settings.list("external.labels")]
    return parsed_headers("external.labels", "|".join(pairs), "|")


class PrometheusRemoteWriteSinkTask(WritingSinkTask):
    """A batch is one request."""

    kafka_name = "ottla.connect.connectors.prometheus.PrometheusRemoteWriteSinkTask"
    connector = PrometheusRemoteWriteSinkConnector

    def connect(self, settings: Settings) -> None:
        self._client = HttpClient(settings, {**_HEADERS, **_headers(settings)})
        self._external = _external(settings)
        self._leaves_out_old = settings.string("behavior.on.old.samples") == "log"

    def write(self, batch: Sequence[SinkRecord]) -> None:
        import cramjam

        samples: list[Sample] = []
        for record in batch:
            if record.value is None:
                continue  # a sample is never taken back
            try:
                samples.append(_sample(record, self._external))
            except DataError as error:
                self.reject(record, error)
        if not samples:
            return
        body = bytes(cramjam.snappy.compress_raw(encoded(samples)))
        response = self._client.send("POST", self.settings.string("remote.write.url"), body)
        if 200 <= response.status < 300:
            return
        if response.status == 400 and _OLD.search(response.body) and self._leaves_out_old:
            _log.warning("samples of %d are left out: %s", len(samples), response.told)
            return  # the others were taken
        raise failure("samples were not taken", response)

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()


def _sample(record: SinkRecord, external: Mapping[str, str]) -> Sample:
    """DataError for what is no metric."""
    document = document_of(record)
    values = document.get("values")
    value = values.get("doubleValue") if isinstance(values, dict) else document.get("value")
    name, labels = document.get("name"), document.get("labels", document.get("dimensions")) or {}
    if not isinstance(name, str) or not name or not isinstance(labels, dict):
        raise DataError("a metric has a name, and labels that are a map")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"the metric {name} has no number as its value: {value!r}")
    all_labels = {
        **external,
        **{_label(key): str(one) for key, one in labels.items() if one not in (None, "")},
    }
    all_labels["__name__"] = re.sub(r"^(?=[0-9])", "_", _NAME.sub("_", name))
    try:
        return Sample(tuple(sorted(all_labels.items())), _timestamp(document, record), float(value))
    except OverflowError:
        raise DataError(f"the metric {name} has a number beyond what a sample can have") from None


def _label(name: Value) -> str:
    return re.sub(r"^(?=[0-9])", "_", _LABEL.sub("_", str(name)))


def _timestamp(document: Mapping[str, Value], record: SinkRecord) -> int:
    found = document.get("timestamp")
    stamp = found if isinstance(found, int) and not isinstance(found, bool) else record.timestamp
    if stamp is None:
        raise DataError("neither the metric nor its record has a timestamp")
    if not -(2**63) <= stamp < 2**63:
        raise DataError(f"the timestamp {stamp} has more than 64 bits")
    return stamp


def encoded(samples: Sequence[Sample]) -> bytes:
    """A WriteRequest (remote write 1.0), its series in time's order."""
    series: dict[tuple[tuple[str, str], ...], dict[int, float]] = {}
    for sample in samples:
        series.setdefault(sample.labels, {})[sample.timestamp] = sample.value
    return b"".join(_field(1, _series(labels, found)) for labels, found in series.items())


def _series(labels: tuple[tuple[str, str], ...], found: Mapping[int, float]) -> bytes:
    parts = [_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels]
    for timestamp, value in sorted(found.items()):
        stamp = _varint(timestamp % 2**64)
        parts.append(_field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + stamp))
    return b"".join(parts)


def _field(number: int, data: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
