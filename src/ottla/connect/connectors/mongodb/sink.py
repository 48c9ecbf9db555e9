"""Topics into MongoDB: MongoDB's MongoSinkConnector."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ottla.connect.connectors.base import BuiltInSinkConnector, Checks
from ottla.connect.connectors.mongodb.connection import (
    client_of,
    connection_config,
    failure,
    guarded,
    passes,
    set_up,
)
from ottla.connect.connectors.mongodb.documents import ID_STRATEGIES, bson_document, document_id
from ottla.connect.connectors.payloads import named
from ottla.connect.connectors.sinks import WritingSinkTask, retry_config
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import SinkTask
from ottla.connect.settings import Settings, SettingValue, invalid
from ottla.connect.validators import AtLeast, Check, OneOfIgnoringCase

if TYPE_CHECKING:
    from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne

    Write = DeleteOne | InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]] | UpdateOne

__all__ = ["MongoSinkConnector", "MongoSinkTask"]

_DUPLICATE: Final = 11000
_WRITES: Final = (
    "DefaultWriteModelStrategy", "ReplaceOneDefaultStrategy", "ReplaceOneBusinessKeyStrategy",
    "InsertOneDefaultStrategy", "UpdateOneDefaultStrategy", "UpdateOneTimestampsStrategy",
    "UpdateOneBusinessKeyTimestampStrategy", "DeleteOneDefaultStrategy", "DeleteOneBusinessKeyStrategy",
)  # fmt: skip
_PROJECTION: Final = "document.id.strategy.partial.value.projection"
_OF_KEYS: Final = ("FullKeyStrategy", "ProvidedInKeyStrategy", "PartialKeyStrategy")
_OF_PLACES: Final = ("BsonOidStrategy", "KafkaMetaDataStrategy")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _one_of(names: Iterable[str]) -> Check:
    """One of these classes, with its package or without."""
    known = tuple(names)

    def check(name: str, value: SettingValue) -> None:
        if not isinstance(value, str) or _last(value) not in known:
            raise invalid(name, value, f"there are {', '.join(known)}")

    return Check(check, f"[{', '.join(known)}]")


def _refuse(name: str, value: SettingValue) -> None:
    if value:
        raise invalid(name, value, "there is none here: a transform does that (transforms=...)")


def _config() -> ConfigDef:
    package = "com.mongodb.kafka.connect.sink"
    return retry_config(
        connection_config()
        .define("document.id.strategy", ConfigType.STRING,
                f"{package}.processor.id.strategy.BsonOidStrategy", Importance.HIGH,
                "Where a document's `_id` is from. BsonOidStrategy makes the same one of a record that comes "
                "again.",
                validator=_one_of(ID_STRATEGIES), group="Documents", order=1)
        .define("document.id.strategy.overwrite.existing", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether a document that has an `_id` gets another.",
                group="Documents", order=2)
        .define("document.id.strategy.partial.value.projection.list", ConfigType.LIST, (), Importance.LOW,
                "With PartialValueStrategy and PartialKeyStrategy: the fields.",
                group="Documents", order=3)
        .define("document.id.strategy.partial.value.projection.type", ConfigType.STRING, "allowlist",
                Importance.LOW, "Whether it is these, or all others.",
                validator=OneOfIgnoringCase("allowlist", "blocklist", "whitelist", "blacklist", ""),
                group="Documents", order=4)
        .define("writemodel.strategy", ConfigType.STRING,
                f"{package}.writemodel.strategy.DefaultWriteModelStrategy", Importance.HIGH,
                "How documents are written. DefaultWriteModelStrategy replaces what has the same `_id`.",
                validator=_one_of(_WRITES), group="Documents", order=5)
        .define("delete.on.null.values", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether a record without a value deletes the document of its key; it is left out without.",
                group="Documents", order=6)
        .define("change.data.capture.handler", ConfigType.STRING, "", Importance.LOW, "Is refused.",
                validator=Check(_refuse, "empty"), group="Documents", order=7)
        .define("max.batch.size", ConfigType.INT, 0, Importance.MEDIUM,
                "How many documents are written at a time, at most; 0 for all that there are.",
                validator=AtLeast(0), group="Writes", order=1)
        .define("bulk.write.ordered", ConfigType.BOOLEAN, True, Importance.LOW,
                "Whether a batch is written in its order.",
                group="Writes", order=2),
        retries=10, backoff=5000,
    )  # fmt: skip


def _check_strategies(settings: Settings) -> None:
    """ConfigError for those that do not fit together."""
    strategy, write = (
        _last(settings.string("document.id.strategy")),
        _last(settings.string("writemodel.strategy")),
    )
    fields = settings.list("document.id.strategy.partial.value.projection.list")
    if strategy.startswith("Partial") and not fields:
        raise ConfigError(
            f"document.id.strategy={strategy} needs document.id.strategy.partial.value.projection.list"
        )
    if "BusinessKey" in write and not strategy.startswith("Partial"):
        raise ConfigError(f"writemodel.strategy={write} finds documents by fields: it needs "
                          "document.id.strategy=PartialValueStrategy or PartialKeyStrategy")  # fmt: skip
    if settings.boolean("delete.on.null.values") and strategy not in _OF_KEYS:
        raise ConfigError(f"delete.on.null.values needs one of document.id.strategy={', '.join(_OF_KEYS)}: "
                          "a record without a value has its key only")  # fmt: skip


def _check_database(settings: Settings) -> None:
    if not settings.string("database"):
        raise ConfigError("database must be given")


class MongoSinkConnector(BuiltInSinkConnector):
    """Records as documents, in a collection that is called as their topic unless `collection` is given."""

    kafka_name = "com.mongodb.kafka.connect.MongoSinkConnector"
    renames = {  # noqa: RUF012 - the base says what it is
        "max.num.retries": "max.retries",
        "retries.defer.timeout": "retry.backoff.ms",
        "document.id.strategy.partial.key.projection.list": f"{_PROJECTION}.list",
        "document.id.strategy.partial.key.projection.type": f"{_PROJECTION}.type",
    }

    def config(self) -> ConfigDef:
        return _config()

    def checks(self) -> Checks:
        return {
            "connection.uri": set_up,
            "database": _check_database,
            "document.id.strategy": _check_strategies,
        }

    def task_class(self) -> type[SinkTask]:
        return MongoSinkTask


class MongoSinkTask(WritingSinkTask):
    """A batch is one bulk write for each collection."""

    kafka_name = "com.mongodb.kafka.connect.sink.MongoSinkTask"
    connector = MongoSinkConnector

    def connect(self, settings: Settings) -> None:
        self._client = client_of(settings)
        self._database = self._client[settings.string("database")]
        self._id = _last(settings.string("document.id.strategy"))
        self._write_model = _last(settings.string("writemodel.strategy"))
        kind = settings.string("document.id.strategy.partial.value.projection.type").lower()
        self._projection = (
            settings.list("document.id.strategy.partial.value.projection.list"),
            kind not in ("blocklist", "blacklist"),
        )

    def batches(self, records: Sequence[SinkRecord]) -> Iterable[Sequence[SinkRecord]]:
        """Of one collection each."""
        size = self.settings.integer("max.batch.size") or len(records) or 1
        by_collection: dict[str, list[SinkRecord]] = {}
        for record in records:
            by_collection.setdefault(self._collection(record), []).append(record)
        for each in by_collection.values():
            yield from (each[start : start + size] for start in range(0, len(each), size))

    def _collection(self, record: SinkRecord) -> str:
        return named(self.settings.string("collection") or "${topic}", record)

    def write(self, batch: Sequence[SinkRecord]) -> None:
        writes: list[Write] = []
        owners: list[SinkRecord] = []
        for record in batch:
            try:
                write = self._write_of(record)
            except DataError as error:
                self.reject(record, error)
                continue
            if write is not None:
                writes.append(write)
                owners.append(record)
        is_ordered = self.settings.boolean("bulk.write.ordered")
        while writes:  # what is ordered stops at the first that fails, and goes on behind it
            passed = self._bulk(self._collection(batch[0]), writes, owners, is_ordered=is_ordered)
            writes, owners = writes[passed:], owners[passed:]

    def _bulk(
        self, collection: str, writes: Sequence[Write], owners: Sequence[SinkRecord], *, is_ordered: bool
    ) -> int:
        """How many of them are dealt with."""
        from bson.errors import BSONError
        from pymongo.errors import BulkWriteError

        try:
            with guarded("documents were not written"):
                self._database[collection].bulk_write(writes, ordered=is_ordered)
        except RetriableError:
            raise
        except (BSONError, OverflowError, ValueError) as error:  # a field such as $set is a ValueError
            raise DataError(f"a document cannot be BSON: {error}") from error
        except ConnectError as error:
            if not isinstance(error.__cause__, BulkWriteError):
                raise
            return self._judge(error.__cause__, owners, is_ordered=is_ordered)
        return len(writes)

    def _judge(self, error: Any, owners: Sequence[SinkRecord], *, is_ordered: bool) -> int:
        failed: list[Mapping[str, Any]] = error.details.get("writeErrors", [])
        if error.details.get("writeConcernErrors"):
            raise RetriableError(
                f"documents are not on enough servers yet: {error.details['writeConcernErrors']}"
            )
        if not failed:
            raise failure("documents were not written", error)
        for each in failed:
            if passes(each.get("code")):
                raise RetriableError(f"a document was not written: {each.get('errmsg')}")
        for each in failed:
            owner = owners[each["index"]]
            if not (each.get("code") == _DUPLICATE and self._is_repeated(each, owner)):
                told = f"the document was not written: {each.get('code')} {each.get('errmsg')}"
                self.reject(owner, ConnectError(told))
        return int(failed[0]["index"]) + 1 if is_ordered else len(owners)

    def _is_repeated(self, error: Mapping[str, Any], owner: SinkRecord) -> bool:
        """An insert of a record that was inserted before: its place made the `_id` that is there."""
        pattern, text = error.get("keyPattern"), str(error.get("errmsg"))
        is_by_id = list(pattern) == ["_id"] if pattern else "index: " not in text or "index: _id_" in text
        if self._id not in _OF_PLACES or not is_by_id:
            return False
        own_id = bson_document(owner).get("_id")
        return own_id is None or self.settings.boolean("document.id.strategy.overwrite.existing")

    def _write_of(self, record: SinkRecord) -> Write | None:
        from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne

        if record.value is None:
            if not self.settings.boolean("delete.on.null.values"):
                return None
            return DeleteOne(self._filter(document_id(self._id, record, {}, self._projection)))
        document = bson_document(record)
        if "_id" not in document or self.settings.boolean("document.id.strategy.overwrite.existing"):
            document["_id"] = document_id(self._id, record, document, self._projection)
        where = self._filter(document["_id"])
        if self._write_model.startswith("DeleteOne"):
            return DeleteOne(where)
        if self._write_model.startswith("InsertOne"):
            return InsertOne(document)
        if self._by_fields:
            del document["_id"]
        if self._write_model.startswith("UpdateOne"):
            document.pop("_id", None)
            return UpdateOne(where, self._update(document), upsert=True)
        return ReplaceOne(where, document, upsert=True)

    @property
    def _by_fields(self) -> bool:
        return "BusinessKey" in self._write_model

    def _filter(self, found: Any) -> dict[str, Any]:
        """Equality, whatever a record has there: `{"$gt": ""}` finds no others' documents."""
        fields = found if self._by_fields and isinstance(found, dict) else {"_id": found}
        wrong = next((name for name in fields if name.startswith("$")), None)
        if wrong is not None:
            raise DataError(f"no field that documents are found by can be called {wrong}")
        return {name: {"$eq": value} for name, value in fields.items()}

    def _update(self, document: dict[str, Any]) -> dict[str, Any]:
        if "Timestamp" not in self._write_model:
            return {"$set": document}
        now = dt.datetime.now(dt.UTC)
        return {"$set": {**document, "_modifiedTS": now}, "$setOnInsert": {"_insertedTS": now}}

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.close()
