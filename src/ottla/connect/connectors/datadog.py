"""Topics into Datadog's logs: Datadog's own DatadogLogsSinkConnector."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Sequence
from typing import Final

from ottla.connect.connectors.base import BuiltInSinkConnector, Checks
from ottla.connect.connectors.http.client import URL, HttpClient, connection_config, failure
from ottla.connect.connectors.payloads import document_json, plain
from ottla.connect.connectors.sinks import WritingSinkTask, pieces, retry_config
from ottla.connect.data.schema import Value
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import SinkTask
from ottla.connect.settings import Settings

__all__ = ["DatadogLogsSinkConnector"]

_MAX_LOGS: Final = 1000
_MAX_REQUEST: Final = 5_000_000 - 64 * 1024
_MAX_LOG: Final = 1_000_000
"""What Datadog takes: logs in a request, its bytes before they are compressed, and those of a log"""


def _config() -> ConfigDef:
    definition = (
        ConfigDef()
        .define("datadog.api_key", ConfigType.PASSWORD, REQUIRED, Importance.HIGH, "The key.",
                group="Datadog", order=1)
        .define("datadog.site", ConfigType.STRING, "datadoghq.com", Importance.MEDIUM,
                "The site: `datadoghq.com`, `datadoghq.eu`, ...",
                group="Datadog", order=2)
        .define("datadog.url", ConfigType.STRING, "", Importance.LOW,
                "Where to, in place of the site's own address.",
                group="Datadog", order=3)
        .define("datadog.tags", ConfigType.LIST, (), Importance.MEDIUM, "Tags of all logs: `env:prod`.",
                group="Datadog", order=4)
        .define("datadog.service", ConfigType.STRING, None, Importance.MEDIUM, "The service.",
                group="Datadog", order=5)
        .define("datadog.hostname", ConfigType.STRING, None, Importance.MEDIUM, "The host.",
                group="Datadog", order=6)
        .define("datadog.add_published_date", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether logs have their record's time as `published_date`.",
                group="Datadog", order=7)
    )  # fmt: skip
    return connection_config(retry_config(definition, retries=5))


def _url(settings: Settings) -> str:
    """ConfigError for what is none."""
    given = settings.string("datadog.url")
    if given:
        URL("datadog.url", given)
        return given
    return f"https://http-intake.logs.{settings.string('datadog.site')}/api/v2/logs"


class DatadogLogsSinkConnector(BuiltInSinkConnector):
    """Records as logs of Datadog. A record without a value is left out."""

    kafka_name = "com.datadoghq.connect.logs.DatadogLogsSinkConnector"
    renames = {  # noqa: RUF012 - the base says what it is
        "datadog.retry.max": "max.retries",
        "datadog.retry.backoff_ms": "retry.backoff.ms",
    }

    def config(self) -> ConfigDef:
        return _config()

    def checks(self) -> Checks:
        return {"datadog.url": _url, "ssl.ca.location": HttpClient}

    def task_class(self) -> type[SinkTask]:
        return DatadogLogsSinkTask


class DatadogLogsSinkTask(WritingSinkTask):
    """A batch is one request, unless it is too large."""

    kafka_name = "com.datadoghq.connect.logs.sink.DatadogLogsSinkTask"
    connector = DatadogLogsSinkConnector

    def connect(self, settings: Settings) -> None:
        key = settings.secret("datadog.api_key")
        self._client = HttpClient(settings, {
            "DD-API-KEY": "" if key is None else key.value, "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        })  # fmt: skip
        self._url = _url(settings)

    def batches(self, records: Sequence[SinkRecord]) -> Sequence[Sequence[SinkRecord]]:
        kept = [record for record in records if record.value is not None]
        return [kept[start : start + _MAX_LOGS] for start in range(0, len(kept), _MAX_LOGS)]

    def write(self, batch: Sequence[SinkRecord]) -> None:
        made: list[tuple[SinkRecord, bytes]] = []
        for record in batch:
            try:
                made.append((record, self._log(record)))
            except DataError as error:
                self.reject(record, error)
        for piece in pieces(made, _MAX_REQUEST):
            body = b"[%b]" % b",".join(data for _, data in piece)
            response = self._client.send("POST", self._url, gzip.compress(body, 6))
            if not 200 <= response.status < 300:
                raise failure("logs were not taken", response)

    def _log(self, record: SinkRecord) -> bytes:
        settings = self.settings
        message: Value = plain(record.value)
        if isinstance(message, bytes):
            message = message.decode("utf-8", "replace")
        log: dict[str, Value] = {
            "message": message, "ddsource": "kafka-connect",
            "ddtags": ",".join((f"topic:{record.topic}", *settings.list("datadog.tags"))),
        }  # fmt: skip
        for name in ("service", "hostname"):
            value = settings.optional_string(f"datadog.{name}")
            if value:
                log[name] = value
        if settings.boolean("datadog.add_published_date") and record.timestamp is not None:
            log["published_date"] = dt.datetime.fromtimestamp(record.timestamp / 1000, dt.UTC)
        made = document_json(log)
        if len(made) > _MAX_LOG:
            raise DataError(f"a log of {len(made)} bytes, and Datadog takes {_MAX_LOG}")
        return made

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()
