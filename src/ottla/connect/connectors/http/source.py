"""What a server answers into topics: Confluent's HttpSourceConnector."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

from ottla.connect.connectors.base import BuiltInSourceConnector, Checks
from ottla.connect.connectors.http.client import (
    URL,
    HttpClient,
    auth_config,
    check_auth,
    connection_config,
    failure,
    parsed_headers,
)
from ottla.connect.connectors.payloads import parsed_json
from ottla.connect.connectors.sources import PollingSourceTask
from ottla.connect.data.schema import Value
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Config, Offset, SourceTask
from ottla.connect.settings import Settings, SettingValue, invalid
from ottla.connect.validators import AtLeast, Check, NonEmptyString, OneOfIgnoringCase

__all__ = ["HttpSourceConnector", "HttpSourceTask"]

_ENTITIES: Final = "ottla.entities"
_MISSING: Final = object()


def _check_pointer(name: str, value: SettingValue) -> None:
    if isinstance(value, str) and value and not value.startswith("/"):
        raise invalid(name, value, "a JSON pointer is empty or begins with /, as /data/items")


_POINTER: Final = Check(_check_pointer, "a JSON pointer, as /data/items")


def _config() -> ConfigDef:
    definition = (
        ConfigDef()
        .define("url", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "What is asked; `${offset}` and `${entityName}` are filled in.",
                validator=URL, group="Request", order=1)
        .define("entity.names", ConfigType.LIST, (), Importance.HIGH,
                "What `${entityName}` stands for, one after the other; tasks share them.",
                group="Request", order=2)
        .define("http.request.method", ConfigType.STRING, "GET", Importance.HIGH, "The method.",
                validator=OneOfIgnoringCase("GET", "POST"), group="Request", order=3)
        .define("http.request.headers", ConfigType.STRING, "", Importance.HIGH,
                "Headers: `Name:value|Name:value`.",
                group="Request", order=4)
        .define("http.request.headers.separator", ConfigType.STRING, "|", Importance.LOW,
                "What is between two of them.",
                group="Request", order=5)
        .define("http.request.parameters", ConfigType.STRING, "", Importance.HIGH,
                "Parameters of the query: `name=value&name=value`, filled in as the URL is.",
                group="Request", order=6)
        .define("http.request.parameters.separator", ConfigType.STRING, "&", Importance.LOW,
                "What is between two of them.",
                group="Request", order=7)
        .define("http.request.body", ConfigType.STRING, "", Importance.HIGH,
                "With POST: the body, filled in as the URL is.",
                group="Request", order=8)
        .define("request.interval.ms", ConfigType.LONG, 15_000, Importance.HIGH,
                "How long to wait before the next request, unless there is a next page.",
                validator=AtLeast(0), group="Request", order=9)
        .define("http.offset.mode", ConfigType.STRING, "SIMPLE_INCREMENTING", Importance.HIGH,
                "`SIMPLE_INCREMENTING`: the offset is the number of records so far. `CHAINING`: what each "
                "record has at `http.offset.json.pointer`. `CURSOR_PAGINATION`: what the answer has at "
                "`http.next.page.json.pointer`.",
                validator=OneOfIgnoringCase("SIMPLE_INCREMENTING", "CHAINING", "CURSOR_PAGINATION"),
                group="Offsets", order=1)
        .define("http.initial.offset", ConfigType.STRING, "", Importance.HIGH,
                "The offset of the first request; 0 with SIMPLE_INCREMENTING, unless it is given.",
                group="Offsets", order=2)
        .define("http.offset.json.pointer", ConfigType.STRING, "", Importance.MEDIUM,
                "Where a record has its offset.",
                validator=_POINTER, group="Offsets", order=3)
        .define("http.next.page.json.pointer", ConfigType.STRING, "", Importance.MEDIUM,
                "Where an answer has the offset of the next page.",
                validator=_POINTER, group="Offsets", order=4)
        .define("http.response.data.json.pointer", ConfigType.STRING, "", Importance.MEDIUM,
                "Where an answer has its records: an array, or one object. The whole answer without it.",
                validator=_POINTER, group="Answer", order=1)
        .define("topic.name.pattern", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "The topic; `${entityName}` is filled in.",
                validator=NonEmptyString(), group="Answer", order=2)
    )  # fmt: skip
    return connection_config(auth_config(definition))


def _headers(settings: Settings) -> dict[str, str]:
    return parsed_headers(
        "http.request.headers",
        settings.string("http.request.headers"),
        settings.string("http.request.headers.separator"),
    )


def _check_mode(settings: Settings) -> None:
    mode = settings.string("http.offset.mode").upper()
    for needing, name in (
        ("CHAINING", "http.offset.json.pointer"),
        ("CURSOR_PAGINATION", "http.next.page.json.pointer"),
    ):
        if mode == needing and not settings.string(name):
            raise ConfigError(f"http.offset.mode={mode} needs {name}")
    initial = settings.string("http.initial.offset")
    if mode == "SIMPLE_INCREMENTING" and initial and not initial.isdecimal():
        raise ConfigError(
            f"http.initial.offset={initial} is no number, which http.offset.mode={mode} counts from"
        )


class HttpSourceConnector(BuiltInSourceConnector):
    """Records of a server's JSON answers, asked again and again. Values have no schema."""

    kafka_name = "io.confluent.connect.http.HttpSourceConnector"
    renames = {"http.timer.interval.millis": "request.interval.ms"}  # noqa: RUF012 - the base says what it is

    def config(self) -> ConfigDef:
        return _config()

    def checks(self) -> Checks:
        return {
            "http.request.headers": _headers,
            "auth.type": check_auth,
            "http.offset.mode": _check_mode,
            "ssl.ca.location": HttpClient,
        }

    def task_class(self) -> type[SourceTask]:
        return HttpSourceTask

    def task_configs(self, max_tasks: int) -> Sequence[Config]:
        entities = self.settings(self.started_with).list("entity.names") or [""]
        return self.divided(_ENTITIES, entities, max_tasks)


class HttpSourceTask(PollingSourceTask):
    """Asks for its entities in turns."""

    kafka_name = "io.confluent.connect.http.HttpSourceTask"
    connector = HttpSourceConnector

    def connect(self, settings: Settings, config: Config) -> None:
        self._client = HttpClient(settings, {"Accept": "application/json", **_headers(settings)})
        self._mode = settings.string("http.offset.mode").upper()
        self._entities: list[str] = json.loads(config[_ENTITIES])
        self._due = dict.fromkeys(self._entities, 0.0)
        self._offsets: dict[str, Offset] = {}
        for entity in self._entities:
            found = self.context.offset(self._partition(entity))
            self._offsets[entity] = {"offset": self._initial()} if found is None else found

    def _initial(self) -> Value:
        initial = self.settings.string("http.initial.offset")
        return int(initial or 0) if self._mode == "SIMPLE_INCREMENTING" else initial

    def _partition(self, entity: str) -> Offset:
        return {"url": self.settings.string("url"), "entityName": entity}

    def read(self) -> Sequence[SourceRecord]:
        entity = min(self._entities, key=self._due.__getitem__)
        wait_s = self._due[entity] - time.monotonic()
        if wait_s > 0:
            self.idle(min(wait_s, 1.0))
            return ()
        answer = self._ask(entity)
        records = list(self._records(entity, answer))
        is_paged = self._mode == "CURSOR_PAGINATION"
        following = self._next_page(self._offsets[entity], answer) if is_paged else None
        if following is not None:
            self._offsets[entity] = {"offset": following}
        elif records:
            self._offsets[entity] = records[-1].source_offset
        pause_s = 0 if following is not None else self.settings.integer("request.interval.ms") / 1000
        self._due[entity] = time.monotonic() + pause_s
        return records

    def _ask(self, entity: str) -> Value:
        settings = self.settings
        offset = self._offsets[entity].get("offset")
        places = {"${offset}": "" if offset is None else str(offset), "${entityName}": entity}
        url = _filled(settings.string("url"), {name: quote(one, safe="") for name, one in places.items()})
        separator, query = settings.string("http.request.parameters.separator"), []
        for each in filter(None, settings.string("http.request.parameters").split(separator)):
            name, _, value = each.partition("=")
            query.append((name, _filled(value, places)))
        if query:
            url += ("&" if "?" in url else "?") + urlencode(query)
        method = settings.string("http.request.method").upper()
        body = _filled(settings.string("http.request.body"), places).encode() if method == "POST" else None
        headers = {"Content-Type": "application/json"} if body and not _has_content_type(settings) else None
        response = self._client.send(method, url, body, headers)
        if not 200 <= response.status < 300:
            raise failure(f"{method} {url.partition('?')[0]}", response)
        return parsed_json(response.body) if response.body.strip() else []

    def _records(self, entity: str, answer: Value) -> Iterator[SourceRecord]:
        found = _at(answer, self.settings.string("http.response.data.json.pointer"))
        if found is _MISSING or found is None:
            return
        values = found if isinstance(found, list) else [found]
        topic = self.settings.string("topic.name.pattern").replace("${entityName}", entity)
        partition = self._partition(entity)
        for offset, value in self._counted(self._offsets[entity], values, answer):
            yield SourceRecord(partition, offset, topic, value=value)

    def _counted(
        self, before: Offset, values: Sequence[Value], answer: Value
    ) -> Iterator[tuple[Offset, Value]]:
        """Each value with the offset behind it."""
        if self._mode == "CHAINING":
            pointer = self.settings.string("http.offset.json.pointer")
            for value in values:
                found = _at(value, pointer)
                if not isinstance(found, int | float | str):
                    raise DataError(
                        f"http.offset.json.pointer={pointer}: a record has no number or text there"
                    )
                yield {"offset": found}, value
        elif self._mode == "CURSOR_PAGINATION":
            yield from self._of_page(before, values, self._next_page(before, answer))
        else:
            first = before.get("offset")
            for number, value in enumerate(values, first + 1 if isinstance(first, int) else 1):
                yield {"offset": number}, value

    def _of_page(
        self, before: Offset, values: Sequence[Value], following: Value
    ) -> Iterator[tuple[Offset, Value]]:
        """The last page is asked for again: what was read of it is passed over."""
        read = before.get("read")
        for number, value in enumerate(values, 1):
            if isinstance(read, int) and number <= read:
                continue
            if number == len(values) and following is not None:
                yield {"offset": following}, value
            else:
                yield {"offset": before.get("offset"), "read": number}, value

    def _next_page(self, before: Offset, answer: Value) -> Value:
        """None on the last one, which may also name itself."""
        found = _at(answer, self.settings.string("http.next.page.json.pointer"))
        is_other = isinstance(found, int | float | str) and found not in ("", before.get("offset"))
        return found if is_other else None

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()


def _has_content_type(settings: Settings) -> bool:
    return any(name.lower() == "content-type" for name in _headers(settings))


def _filled(pattern: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        pattern = pattern.replace(name, value)
    return pattern


def _at(value: Value, pointer: str) -> Value:
    """What is at a JSON pointer (RFC 6901), or `_MISSING`."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return _MISSING
    return value
