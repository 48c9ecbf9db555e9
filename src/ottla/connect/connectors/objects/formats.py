"""What objects are made of: lines of JSON, Avro's and Parquet's files, bytes. Parquet needs pyarrow."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ottla.connect.connectors.objects.writing import Encoder
from ottla.connect.converters.avro_schemas import avro_text
from ottla.connect.converters.avro_writing import avro_writer
from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.json import JsonConverter
from ottla.connect.data.schema import Schema, Struct, Type
from ottla.connect.data.values import infer_schema
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import SinkRecord
from ottla.connect.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Reject", "encoders"]

Reject = Callable[[SinkRecord, DataError], None]
"""Told of a record that cannot be in its object after all; raises where that is to fail the task"""

_ROWS: Final = 5_000
"""Of Parquet, made into columns at a time"""
_BLOCK: Final = 64 * 1024
"""Bytes of Avro, before they are compressed"""
_AVRO_MAGIC: Final = b"Obj\1"


def encoders(settings: Settings, reject: Reject) -> tuple[Callable[[Schema | None], Encoder], str]:
    """What makes an object of a schema's records, and how their names end. Raises ConfigError."""
    name = settings.string("format.class")
    match name.rpartition(".")[2].removesuffix("Format").lower():
        case "json":
            is_packed = settings.string("s3.compression.type") == "gzip"
            level = settings.integer("s3.compression.level")
            return lambda _: _Json(is_packed, level), ".json.gz" if is_packed else ".json"
        case "bytearray" | "bytes":
            is_packed = settings.string("s3.compression.type") == "gzip"
            level = settings.integer("s3.compression.level")
            separator = settings.optional_string("format.bytearray.separator")
            between = b"\n" if separator is None else separator.encode()
            extension = settings.string("format.bytearray.extension")
            return lambda _: _Bytes(between, is_packed, level), extension + (".gz" if is_packed else "")
        case "avro":
            codec = settings.string("avro.codec")
            return lambda schema: _Avro(schema, codec), ".avro"
        case "parquet":
            codec = settings.string("parquet.codec")
            between_names = "" if codec == "none" else f".{_EXTENSIONS.get(codec, codec)}"
            return lambda schema: _Parquet(schema, codec, reject), f"{between_names}.parquet"
    raise ConfigError(
        f"format.class={name} is none that is here: ParquetFormat, JsonFormat, AvroFormat or ByteArrayFormat"
    )


_EXTENSIONS: Final[Mapping[str, str]] = {"gzip": "gz", "zstd": "zstd", "snappy": "snappy"}


class _Lines:
    def __init__(self, is_packed: bool, level: int) -> None:
        self._out = bytearray()
        self._is_packed = is_packed
        self._level = level

    def finish(self) -> bytes:
        # Without the time: the same records make the same object.
        return gzip.compress(self._out, self._level, mtime=0) if self._is_packed else bytes(self._out)


class _Json(_Lines):
    def __init__(self, is_packed: bool, level: int) -> None:
        super().__init__(is_packed, level)
        self._converter = JsonConverter({"schemas.enable": "false"}, ConverterType.VALUE)

    def append(self, record: SinkRecord) -> None:
        self._out += self._converter.from_connect(record.topic, record.value_schema, record.value) or b"null"
        self._out += b"\n"


class _Bytes(_Lines):
    def __init__(self, between: bytes, is_packed: bool, level: int) -> None:
        super().__init__(is_packed, level)
        self._between = between

    def append(self, record: SinkRecord) -> None:
        if not isinstance(record.value, bytes):
            raise DataError(
                f"ByteArrayFormat takes bytes, not a {type(record.value).__name__}: it needs the "
                "ByteArrayConverter"
            )
        self._out += record.value
        self._out += self._between


class _Avro:
    """An object container file. Its marker between blocks is made of the schema, not by chance."""

    def __init__(self, schema: Schema | None, codec: str) -> None:
        self._schema = schema
        self._codec = codec
        self._block = bytearray()
        self._rows = 0
        self._out = bytearray()

    def _begin(self, record: SinkRecord) -> None:
        schema = self._schema or infer_schema(record.value)
        if schema is None:
            raise DataError(
                f"a {type(record.value).__name__} without a schema, or one that it would have in Avro"
            )
        text = avro_text(schema, metadata=True)
        self._write = avro_writer(schema, text, {})
        self._marker = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        said = {"avro.codec": self._codec.encode(), "avro.schema": text.encode()}
        self._out += _AVRO_MAGIC + _long(len(said))
        for name, value in said.items():
            self._out += _long(len(name)) + name.encode() + _long(len(value)) + value
        self._out += b"\0" + self._marker

    def append(self, record: SinkRecord) -> None:
        if not self._out:
            self._begin(record)
        self._block += self._write(record.value)
        self._rows += 1
        if len(self._block) >= _BLOCK:
            self._end_block()

    def _end_block(self) -> None:
        data = _packed(bytes(self._block), self._codec)
        self._out += _long(self._rows) + _long(len(data)) + data + self._marker
        self._block.clear()
        self._rows = 0

    def finish(self) -> bytes:
        if self._rows:
            self._end_block()
        return bytes(self._out)


def _packed(data: bytes, codec: str) -> bytes:
    match codec:
        case "deflate":
            packer = zlib.compressobj(wbits=-15)
            return packer.compress(data) + packer.flush()
        case "snappy":
            import cramjam

            return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")
        case _:
            return data


def _long(value: int) -> bytes:
    out, value = bytearray(), value << 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class _Parquet:
    """Rows are made into columns, and packed, some thousand at a time."""

    def __init__(self, schema: Schema | None, codec: str, reject: Reject) -> None:
        if schema is None or schema.type is not Type.STRUCT:
            raise DataError("ParquetFormat takes structs: it needs a converter that gives values a schema")
        from ottla.connect.data.arrow import arrow_type

        self._schema = schema
        self._type: pa.DataType = arrow_type(schema)
        self._codec = codec
        self._reject = reject
        self._rows: list[SinkRecord] = []
        self._made: list[pa.RecordBatch] = []
        self._out: pa.BufferOutputStream | None = None

    def append(self, record: SinkRecord) -> None:
        if not isinstance(record.value, Struct):
            raise DataError(f"ParquetFormat takes structs, not a {type(record.value).__name__}")
        self._rows.append(record)
        if len(self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from ottla.connect.data.arrow import record_batch

        if self._out is None:
            self._out = pa.BufferOutputStream()
            self._writer = pq.ParquetWriter(self._out, pa.schema(list(self._type)), compression=self._codec)
        rows, self._rows = self._rows, []
        try:
            batches = [record_batch(rows)] if rows else []
        except DataError:
            # Which of them it is shows when each is by itself.
            batches = []
            for row in rows:
                try:
                    batches.append(record_batch([row]))
                except DataError as error:
                    self._reject(row, error)
        if batches:
            self._writer.write_table(pa.Table.from_batches(batches))

    def finish(self) -> bytes:
        self._flush()
        self._writer.close()
        assert self._out is not None
        return self._out.getvalue()  # type: ignore[no-any-return]
