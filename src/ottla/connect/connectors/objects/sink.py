"""Topics into objects: Confluent's S3SinkConnector, for any object store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from ottla.connect.connectors.base import BuiltInSinkConnector, Checks
from ottla.connect.connectors.objects.formats import encoders
from ottla.connect.connectors.objects.partitioning import partitioner_of, zone_of
from ottla.connect.connectors.objects.store import ObjectStore, open_store, store_uri
from ottla.connect.connectors.objects.writing import Names, PartitionWriter, Rotation
from ottla.connect.connectors.sinks import backoff_ms, retry_config
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import Config, SinkTask, TopicPartition
from ottla.connect.settings import Settings
from ottla.connect.validators import AtLeast, Between, NonEmptyString, OneOf
from ottla.connect.version import VERSION

__all__ = ["ObjectSinkConnector", "ObjectSinkTask"]

_TIMES: Final = "io.confluent.connect.storage.partitioner"


def _store_config(definition: ConfigDef) -> ConfigDef:
    return (
        definition
        .define("s3.bucket.name", ConfigType.STRING, "", Importance.HIGH, "The bucket of S3.", group="Store")
        .define("s3.region", ConfigType.STRING, "us-west-2", Importance.MEDIUM, "Its region.", group="Store")
        .define("store.url", ConfigType.STRING, "", Importance.LOW,
                "Where a store is that speaks S3: `http://127.0.0.1:9000`; Amazon's own without it.",
                group="Store")
        .define("aws.access.key.id", ConfigType.PASSWORD, None, Importance.HIGH,
                "Who writes; without it what the environment, a profile or the machine says.", group="Store")
        .define("aws.secret.access.key", ConfigType.PASSWORD, None, Importance.HIGH, "That one's secret.",
                group="Store")
        .define("s3.path.style.access.enabled", ConfigType.BOOLEAN, True, Importance.LOW,
                "Whether the bucket is in the path, rather than in the host's name.", group="Store")
        .define("s3.part.retries", ConfigType.INT, 3, Importance.MEDIUM,
                "How often a request is made again at once that failed.", validator=AtLeast(0), group="Store")
        .define("store.uri", ConfigType.PASSWORD, "", Importance.MEDIUM,
                "Instead of a bucket of S3, any store that Arrow has: `gs://bucket/folder`, "
                "`abfs://container@account...`, `file:///folder`.", group="Store")
        .define("topics.dir", ConfigType.STRING, "topics", Importance.HIGH, "The folder of all topics.",
                group="Store")
        .define("directory.delim", ConfigType.STRING, "/", Importance.MEDIUM, "Between folders.",
                validator=NonEmptyString(), group="Store")
        .define("file.delim", ConfigType.STRING, "+", Importance.MEDIUM,
                "In names, between topic, partition and offset.", group="Store")
        .define("filename.offset.zero.pad.width", ConfigType.INT, 10, Importance.LOW,
                "How many digits an offset has there, at least.", validator=Between(0, 19), group="Store")
    )  # fmt: skip


def _format_config(definition: ConfigDef) -> ConfigDef:
    return (
        definition
        .define("format.class", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "`ParquetFormat`, `JsonFormat`, `AvroFormat`, `ByteArrayFormat`, also as Confluent's class.",
                group="Format")
        .define("s3.compression.type", ConfigType.STRING, "none", Importance.LOW,
                "Of JSON and bytes.", validator=OneOf("none", "gzip"), group="Format")
        .define("s3.compression.level", ConfigType.INT, 6, Importance.LOW, "Of gzip.",
                validator=Between(0, 9), group="Format")
        .define("parquet.codec", ConfigType.STRING, "snappy", Importance.LOW, "Of Parquet.",
                validator=OneOf("none", "gzip", "snappy", "zstd", "brotli", "lz4"), group="Format")
        .define("avro.codec", ConfigType.STRING, "null", Importance.LOW, "Of Avro.",
                validator=OneOf("null", "deflate", "snappy"), group="Format")
        .define("format.bytearray.extension", ConfigType.STRING, ".bin", Importance.LOW,
                "How the names of objects of bytes end.", group="Format")
        .define("format.bytearray.separator", ConfigType.STRING, None, Importance.LOW,
                "Between bytes of two records; a new line without it.", group="Format")
        .define("schema.compatibility", ConfigType.STRING, "NONE", Importance.HIGH,
                "Which schemas are taken over into that of the object; with NONE each has an object of its "
                "own.", validator=OneOf("NONE", "BACKWARD", "FORWARD", "FULL"), group="Format")
        .define("behavior.on.null.values", ConfigType.STRING, "fail", Importance.LOW,
                "What becomes of records without a value: `fail`, or `ignore`.",
                validator=OneOf("fail", "ignore"), group="Format")
    )  # fmt: skip


def _rotation_config(definition: ConfigDef) -> ConfigDef:
    return (
        definition
        .define("flush.size", ConfigType.INT, REQUIRED, Importance.HIGH, "How many records an object has.",
                validator=AtLeast(1), group="Rotation")
        .define("rotate.interval.ms", ConfigType.LONG, -1, Importance.HIGH,
                "How far the times of an object's records may be apart.", validator=AtLeast(-1),
                group="Rotation")
        .define("rotate.schedule.interval.ms", ConfigType.LONG, -1, Importance.MEDIUM,
                "Objects end by the clock, at multiples of this since the day began: then they are not "
                "exactly once.", validator=AtLeast(-1), group="Rotation")
        .define("partitioner.class", ConfigType.STRING, f"{_TIMES}.DefaultPartitioner", Importance.HIGH,
                "What folders are by: `DefaultPartitioner` (the partition), `FieldPartitioner`, "
                "`TimeBasedPartitioner`, `DailyPartitioner`, `HourlyPartitioner`, also as Confluent's class.",
                group="Partitioner")
        .define("partition.field.name", ConfigType.LIST, (), Importance.MEDIUM,
                "The fields of the FieldPartitioner.", group="Partitioner")
        .define("partition.duration.ms", ConfigType.LONG, -1, Importance.MEDIUM,
                "How much time a folder of the TimeBasedPartitioner has.", group="Partitioner")
        .define("path.format", ConfigType.STRING, "", Importance.MEDIUM,
                "What its folders are called: `'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH`.",
                group="Partitioner")
        .define("timezone", ConfigType.STRING, "UTC", Importance.MEDIUM, "The time zone of folders.",
                group="Partitioner")
        .define("timestamp.extractor", ConfigType.STRING, "Wallclock", Importance.MEDIUM,
                "Where a record's time is from: `Wallclock`, `Record`, or `RecordField`.",
                group="Partitioner")
        .define("timestamp.field", ConfigType.STRING, "timestamp", Importance.MEDIUM,
                "The field of `RecordField`.", group="Partitioner")
    )  # fmt: skip


def _config() -> ConfigDef:
    definition = _rotation_config(_format_config(_store_config(ConfigDef())))
    return retry_config(definition, retries=10, backoff=5000)


def _rotation(settings: Settings) -> Rotation:
    interval, schedule = (
        settings.integer("rotate.interval.ms"),
        settings.integer("rotate.schedule.interval.ms"),
    )
    return Rotation(
        settings.integer("flush.size"),
        interval if interval > 0 else None,
        schedule if schedule > 0 else None,
        zone_of(settings.string("timezone")),
        settings.string("schema.compatibility"),
    )


def _bucket(settings: Settings) -> None:
    if bool(settings.string("s3.bucket.name")) == bool(store_uri(settings)):
        raise ConfigError("s3.bucket.name says where objects go, or store.uri does: one of them")


def _raise(_record: SinkRecord, error: DataError) -> None:
    raise error


class ObjectSinkConnector(BuiltInSinkConnector):
    """Records as objects, each once as far as records alone say when objects end."""

    kafka_name = "io.confluent.connect.s3.S3SinkConnector"

    def config(self) -> ConfigDef:
        return _config()

    def checks(self) -> Checks:
        return {
            "s3.bucket.name": _bucket,
            "partitioner.class": partitioner_of,
            "format.class": lambda settings: encoders(settings, _raise),
            "timezone": _rotation,
            "store.url": open_store,
        }

    def task_class(self) -> type[SinkTask]:
        return ObjectSinkTask

    def alter_offsets(self, config: Config, offsets: Mapping[TopicPartition, int | None]) -> bool:  # noqa: ARG002
        return True


class ObjectSinkTask(SinkTask):
    """Keeps what is not in a whole object yet; offsets are committed up to there."""

    kafka_name = "io.confluent.connect.s3.S3SinkTask"

    def version(self) -> str:
        return VERSION

    def start(self, config: Config) -> None:
        self._settings = ObjectSinkConnector().settings(config)
        _bucket(self._settings)
        self._writers: dict[TopicPartition, PartitionWriter] = {}
        self._again: dict[TopicPartition, int] = {}
        """Where partitions begin again whose records did not get into the store"""
        self._failures = 0
        self._store: ObjectStore = open_store(self._settings)
        self._store.check()

    def open(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self._writers[partition] = self._writer()

    def _writer(self) -> PartitionWriter:
        encoder, extension = encoders(self._settings, self.reject)
        string = self._settings.string
        width = self._settings.integer("filename.offset.zero.pad.width")
        names = Names(string("topics.dir"), string("directory.delim"), string("file.delim"), width, extension)
        rotation, partitioner = _rotation(self._settings), partitioner_of(self._settings)
        return PartitionWriter(rotation, partitioner, names, encoder, self._store.write)

    def close(self, partitions: Sequence[TopicPartition]) -> None:
        """Whoever has them next begins the open objects again."""
        for partition in partitions:
            self._writers.pop(partition, None)
            self._again.pop(partition, None)

    def put(self, records: Sequence[SinkRecord]) -> None:
        now_ms = time.time_ns() // 1_000_000
        failed: dict[TopicPartition, RetriableError] = {}
        for record in records:
            partition = TopicPartition(record.original_topic, record.original_partition or 0)
            if partition not in failed:
                self._again.pop(partition, None)
                self._add(partition, record, now_ms, failed)
        for partition, writer in self._writers.items():
            if partition not in failed:
                try:
                    writer.check(now_ms)
                except RetriableError as error:
                    self._begin_again(partition, writer.first, error, failed)
        if failed:
            self._wait(next(iter(failed.values())))
        elif records:
            self._failures = 0

    def _add(
        self,
        partition: TopicPartition,
        record: SinkRecord,
        now_ms: int,
        failed: dict[TopicPartition, RetriableError],
    ) -> None:
        writer = self._writers[partition]
        try:
            if record.value is None:
                if self._settings.string("behavior.on.null.values") == "fail":
                    raise DataError(
                        "a record without a value; behavior.on.null.values=ignore leaves them out"
                    )
                return
            writer.add(record, now_ms)
        except DataError as error:
            self.reject(record, error)
        except RetriableError as error:
            first = record.original_offset if writer.first is None else writer.first
            self._begin_again(partition, first, error, failed)

    def _begin_again(
        self,
        partition: TopicPartition,
        first: int | None,
        error: RetriableError,
        failed: dict[TopicPartition, RetriableError],
    ) -> None:
        """Read the records again that are in no object of the store."""
        failed[partition] = error
        self._writers[partition] = self._writer()
        if first is not None:
            self._again[partition] = first
            self.context.offset(partition, first)

    def _wait(self, error: RetriableError) -> None:
        self._failures += 1
        if self._failures > self._settings.integer("max.retries"):
            raise ConnectError(f"max.retries={self._failures - 1} is used up: {error}") from error
        self.context.timeout(backoff_ms(self._settings.integer("retry.backoff.ms"), self._failures))

    def pre_commit(self, offsets: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """Up to the first record that is in no object of the store."""
        safe = {}
        for partition, offset in offsets.items():
            writer = self._writers.get(TopicPartition(*partition))
            first = None if writer is None else writer.first
            again = self._again.get(TopicPartition(*partition), offset)
            safe[partition] = min(offset if first is None else first, again, offset)
        return safe
