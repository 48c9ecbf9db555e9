"""MongoDB's change streams into topics: MongoDB's MongoSourceConnector."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ottla.connect.connectors.base import BuiltInSourceConnector, Checks
from ottla.connect.connectors.mongodb.connection import (
    client_of,
    connection_config,
    guarded,
    place_of,
    set_up,
)
from ottla.connect.connectors.sources import PollingSourceTask
from ottla.connect.data.schema import Value
from ottla.connect.data.schemas import BYTES, STRING
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, RetriableError
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Config, ExactlyOnceSupport, Offset, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, OneOfIgnoringCase

if TYPE_CHECKING:
    from pymongo.change_stream import ChangeStream

__all__ = ["MongoSourceConnector", "MongoSourceTask"]

_LOST: Final = frozenset((260, 280, 286))
"""Codes: the stream cannot be gone on with where it was"""
_FULL: Final = {"default": None, "updatelookup": "updateLookup", "whenavailable": "whenAvailable",
                "required": "required"}  # fmt: skip
_BEFORE: Final = {"default": None, "off": "off", "whenavailable": "whenAvailable", "required": "required"}
_FORMATS: Final = ("DefaultJson", "ExtendedJson", "SimplifiedJson")
_SYSTEM: Final = ("admin", "config", "local")


def _config() -> ConfigDef:
    return (
        connection_config()
        .define("pipeline", ConfigType.STRING, "[]", Importance.MEDIUM,
                "Stages that choose and change events: JSON, as `[{\"$match\": {...}}]`.",
                group="Change Stream", order=1)
        .define("change.stream.full.document", ConfigType.STRING, "default", Importance.HIGH,
                "Whether an update has the whole document as it is then: `updateLookup`, or by the "
                "collection's images `whenAvailable`, `required`.",
                validator=OneOfIgnoringCase(*_FULL, ""), group="Change Stream", order=2)
        .define("change.stream.full.document.before.change", ConfigType.STRING, "default", Importance.LOW,
                "Whether events have the document of before, by the collection's images.",
                validator=OneOfIgnoringCase(*_BEFORE, ""), group="Change Stream", order=3)
        .define("startup.mode", ConfigType.STRING, "latest", Importance.MEDIUM,
                "Where to begin when no offset is there: `latest`, or `copy_existing` for the documents that "
                "there are and what changes from then on.",
                validator=OneOfIgnoringCase("latest", "copy_existing"), group="Change Stream", order=4)
        .define("copy.existing", ConfigType.BOOLEAN, False, Importance.LOW,
                "As older versions say `startup.mode=copy_existing`.",
                group="Change Stream", order=5)
        .define("mongo.errors.tolerance", ConfigType.STRING, "none", Importance.LOW,
                "`all`: begin anew where the stream's place is lost, with what was missed lost, too.",
                validator=OneOfIgnoringCase("none", "all"), group="Change Stream", order=6)
        .define("publish.full.document.only", ConfigType.BOOLEAN, False, Importance.HIGH,
                "Whether values are documents, and not events.",
                group="Records", order=1)
        .define("publish.full.document.only.tombstone.on.delete", ConfigType.BOOLEAN, False,
                Importance.MEDIUM, "Whether a record without a value tells then that a document is gone.",
                group="Records", order=2)
        .define("output.format.value", ConfigType.STRING, "json", Importance.MEDIUM,
                "`json`: texts. `bson`: bytes.",
                validator=OneOfIgnoringCase("json", "bson"), group="Records", order=3)
        .define("output.format.key", ConfigType.STRING, "json", Importance.MEDIUM, "As for values.",
                validator=OneOfIgnoringCase("json", "bson"), group="Records", order=4)
        .define("output.json.formatter", ConfigType.STRING, "DefaultJson", Importance.MEDIUM,
                "The class by which BSON is JSON: DefaultJson (numbers as they are, `$oid`, `$date`), "
                "ExtendedJson (all types told), SimplifiedJson (ids and times as texts).",
                group="Records", order=5)
        .define("topic.prefix", ConfigType.STRING, "", Importance.MEDIUM,
                "In front of `database.collection`.",
                group="Topics", order=1)
        .define("topic.suffix", ConfigType.STRING, "", Importance.MEDIUM, "Behind it.",
                group="Topics", order=2)
        .define("topic.separator", ConfigType.STRING, ".", Importance.LOW, "What is between all of these.",
                group="Topics", order=3)
        .define("topic.namespace.map", ConfigType.STRING, "", Importance.MEDIUM,
                "JSON: `{\"database.collection\": \"topic\", \"*\": \"all-others\"}`.",
                group="Topics", order=4)
        .define("poll.max.batch.size", ConfigType.INT, 1000, Importance.MEDIUM,
                "How many records a batch has at most.",
                validator=AtLeast(1), group="Polls", order=1)
        .define("poll.await.time.ms", ConfigType.INT, 5000, Importance.LOW,
                "How long to wait for events.",
                validator=AtLeast(1), group="Polls", order=2)
    )  # fmt: skip


def _pipeline(settings: Settings) -> list[dict[str, Any]]:
    from bson import json_util

    given = settings.string("pipeline") or "[]"
    try:
        stages = json_util.loads(given)
    except (ValueError, TypeError) as error:
        raise ConfigError(f'pipeline={given} is no JSON ({error}): [{{"$match": {{...}}}}]') from None
    if not isinstance(stages, list) or not all(isinstance(each, dict) for each in stages):
        raise ConfigError(f'pipeline={given} is no array of stages: [{{"$match": {{...}}}}]')
    return stages


def _topics(settings: Settings) -> Mapping[str, str]:
    given = settings.string("topic.namespace.map")
    try:
        topics = json.loads(given or "{}")
    except ValueError:
        topics = None
    if not isinstance(topics, dict) or not all(isinstance(each, str) for each in topics.values()):
        raise ConfigError(
            f'topic.namespace.map={given} is no JSON of topics: {{"database.collection": "topic"}}'
        )
    return topics


def _formatter(settings: Settings) -> str:
    name = settings.string("output.json.formatter").rpartition(".")[2]
    if name not in _FORMATS:
        raise ConfigError(f"output.json.formatter={name}: there are {', '.join(_FORMATS)}")
    return name


def _check_place(settings: Settings) -> None:
    if settings.string("collection") and not settings.string("database"):
        raise ConfigError("collection is of a database, which must be given, too")


class MongoSourceConnector(BuiltInSourceConnector):
    """What changes in a collection, a database or all of them; before that, perhaps, what is there.

    Change streams need a replica set, or a sharded cluster.
    """

    kafka_name = "com.mongodb.kafka.connect.MongoSourceConnector"

    def config(self) -> ConfigDef:
        return _config()

    def checks(self) -> Checks:
        return {
            "connection.uri": set_up,
            "collection": _check_place,
            "pipeline": _pipeline,
            "topic.namespace.map": _topics,
            "output.json.formatter": _formatter,
        }

    def task_class(self) -> type[SourceTask]:
        return MongoSourceTask

    def exactly_once_support(self, config: Config) -> ExactlyOnceSupport:  # noqa: ARG002
        return ExactlyOnceSupport.SUPPORTED

    def alter_offsets(self, config: Config, offsets: Sequence[tuple[Offset, Offset | None]]) -> bool:  # noqa: ARG002
        for partition, offset in offsets:
            if offset is not None and (set(partition) != {"ns"} or not isinstance(offset.get("_id"), str)):
                raise ConnectError(
                    'A partition is {"ns": "mongodb://HOST/DATABASE.COLLECTION"}, an offset {"_id": TOKEN}'
                )
        return True


class _Writer:
    """Documents as keys and values."""

    def __init__(self, formatter: str, format_: str) -> None:
        from bson import CodecOptions
        from bson.json_util import CANONICAL_JSON_OPTIONS, LEGACY_JSON_OPTIONS

        self._is_bson = format_.lower() == "bson"
        self._simplifies = formatter == "SimplifiedJson"
        self._options = CANONICAL_JSON_OPTIONS if formatter == "ExtendedJson" else LEGACY_JSON_OPTIONS
        self._codec: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
        self.schema = BYTES if self._is_bson else STRING

    def write(self, document: Mapping[str, Any]) -> Value:
        from bson import encode, json_util

        if self._is_bson:
            return encode(document, codec_options=self._codec)
        return json_util.dumps(
            _simple(document) if self._simplifies else document, json_options=self._options
        )


def _simple(value: Any) -> Any:
    """Ids, times and decimals as texts."""
    import datetime as dt

    from bson import Decimal128, Int64, ObjectId

    if isinstance(value, Mapping):
        return {name: _simple(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_simple(one) for one in value]
    if isinstance(value, ObjectId | Decimal128):
        return str(value)
    if isinstance(value, dt.datetime):
        return (
            f"{value:%Y-%m-%dT%H:%M:%S}"
            + (f".{value.microsecond // 1000:03}" if value.microsecond else "")
            + "Z"
        )
    return int(value) if isinstance(value, Int64) else value


class MongoSourceTask(PollingSourceTask):
    """One task reads one change stream, behind the documents that were there."""

    kafka_name = "com.mongodb.kafka.connect.source.MongoSourceTask"
    connector = MongoSourceConnector

    def connect(self, settings: Settings, config: Config) -> None:  # noqa: ARG002
        self._client = client_of(settings)
        self._partition: Offset = {"ns": place_of(settings)}
        self._size = settings.integer("poll.max.batch.size")
        formatter = _formatter(settings)
        self._keys = _Writer(formatter, settings.string("output.format.key"))
        self._values = _Writer(formatter, settings.string("output.format.value"))
        self._documents_only = settings.boolean("publish.full.document.only")
        self._tombstones = settings.boolean("publish.full.document.only.tombstone.on.delete")
        self._named = _topics(settings)
        self._stream: ChangeStream[dict[str, Any]] | None = None
        self._copy: Iterator[SourceRecord] | None = None
        self._offset = self.context.offset(self._partition)

    def read(self) -> Sequence[SourceRecord]:
        try:
            with guarded("changes cannot be read"):
                stream = self._opened()
                if self._copy is not None:
                    return self._copied(self._copy)
                return self._changed(stream)
        except ConnectError as error:
            self._close()
            if getattr(error.__cause__, "code", None) in _LOST:
                self._begin_anew(error)
                raise RetriableError(str(error)) from error
            raise

    def _begin_anew(self, error: ConnectError) -> None:
        if self.settings.string("mongo.errors.tolerance").lower() != "all":
            raise ConnectError(
                f"{error}: what changed since then is lost to the stream; reset the offsets, or set "
                "mongo.errors.tolerance=all"
            ) from error
        self._offset = None

    def _opened(self) -> ChangeStream[dict[str, Any]]:
        if self._stream is not None:
            return self._stream
        settings = self.settings
        offset = self._offset or {}
        place: Any = self._client
        for name in (settings.string("database"), settings.string("collection")):
            place = place[name] if name else place
        token = None if offset.get("_id") is None else json.loads(str(offset["_id"]))
        more = {"full_document_before_change": _BEFORE.get(
            settings.string("change.stream.full.document.before.change").lower())}  # fmt: skip
        self._stream = place.watch(
            _pipeline(settings),
            full_document=_FULL.get(settings.string("change.stream.full.document").lower()),
            resume_after=token,
            max_await_time_ms=settings.integer("poll.await.time.ms"),
            batch_size=self._size,
            **{name: value for name, value in more.items() if value is not None},
        )
        copies = (
            settings.boolean("copy.existing") or settings.string("startup.mode").lower() == "copy_existing"
        )
        assert self._stream is not None
        is_copying = (copies and not offset) or "copy" in offset
        if token is None and self._stream.resume_token is not None:
            # Where it begins: an error before the first event does not make it begin later.
            at = json.dumps(dict(self._stream.resume_token))
            self._offset = {"_id": at, "copy": "true"} if is_copying else {"_id": at}
        if is_copying:
            self._copy = self._existing(self._offset or {})
        return self._stream

    # What is there.

    def _copied(self, rest: Iterator[SourceRecord]) -> Sequence[SourceRecord]:
        records = [record for _, record in zip(range(self._size), rest, strict=False)]
        if records:
            self._offset = records[-1].source_offset
        if len(records) < self._size:
            self._copy = None
        return records

    def _existing(self, offset: Offset) -> Iterator[SourceRecord]:
        """In the order of namespaces and ids, behind what an offset says was copied."""
        from bson import json_util

        token = offset.get("_id")  # where the stream began: what changes meanwhile comes behind it
        done = str(offset.get("copied", ""))
        for database, collection in self._namespaces():
            namespace = f"{database}.{collection}"
            if namespace < done:
                continue
            after = json_util.loads(str(offset["after"])) if namespace == done else None
            # Not {"_id": {"$gt": ...}}, which finds ids of the same type alone.
            where = {} if after is None else {"$expr": {"$gt": ["$_id", {"$literal": after["_id"]}]}}
            found = self._client[database][collection].find(where, batch_size=self._size).sort("_id", 1)
            for document in found:
                key = {"_id": document["_id"]}
                event = {
                    "_id": {**key, "copyingData": True}, "operationType": "insert", "documentKey": key,
                    "fullDocument": document, "ns": {"db": database, "coll": collection},
                }  # fmt: skip
                at = {"_id": token, "copy": "true", "copied": namespace, "after": json_util.dumps(key)}
                record = self._record(event, at)
                if record is not None:
                    yield record

    def _namespaces(self) -> Iterator[tuple[str, str]]:
        database, collection = self.settings.string("database"), self.settings.string("collection")
        if collection:
            yield database, collection
            return
        names = [database] if database else sorted(set(self._client.list_database_names()) - set(_SYSTEM))
        for name in names:
            for each in sorted(self._client[name].list_collection_names()):
                if not each.startswith("system."):
                    yield name, each

    # What changes.

    def _changed(self, stream: ChangeStream[dict[str, Any]]) -> Sequence[SourceRecord]:
        records: list[SourceRecord] = []
        offset = self._offset
        while len(records) < self._size and not self.context.is_stopping:
            event = stream.try_next()
            if event is None:
                break
            offset = {"_id": json.dumps(dict(stream.resume_token or event["_id"]))}
            record = self._record(event, offset)
            if record is not None:
                records.append(record)
        self._offset = offset  # not before: where an error ends this, all of these are read again
        return records

    def _record(self, event: Mapping[str, Any], offset: Offset) -> SourceRecord | None:
        """None for what has no document, where documents are all that is wanted."""
        namespace = event.get("ns", {})
        topic = self._topic(namespace.get("db", ""), namespace.get("coll", ""))
        key = event.get("documentKey") if self._documents_only else {"_id": event["_id"]}
        value: Mapping[str, Any] | None = event
        if self._documents_only:
            value = event.get("fullDocument")
            is_gone = event.get("operationType") == "delete"
            if value is None and not (is_gone and self._tombstones):
                return None
        return SourceRecord(
            self._partition, offset, topic,
            key_schema=None if key is None else self._keys.schema,
            key=None if key is None else self._keys.write(key),
            value_schema=None if value is None else self._values.schema,
            value=None if value is None else self._values.write(value),
        )  # fmt: skip

    def _topic(self, database: str, collection: str) -> str:
        namespace = ".".join(filter(None, (database, collection)))
        found = self._named.get(namespace) or self._named.get("*")
        if found:
            return found
        separator = self.settings.string("topic.separator")
        parts = (
            self.settings.string("topic.prefix"),
            database,
            collection,
            self.settings.string("topic.suffix"),
        )
        return separator.join(filter(None, parts))

    def _close(self) -> None:
        from pymongo.errors import PyMongoError

        if self._stream is not None:
            try:
                self._stream.close()
            except PyMongoError:
                pass  # it is gone already
        self._stream = self._copy = None

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._close()
            self._client.close()
