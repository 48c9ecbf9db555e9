"""Headers as texts that look like what they are: Connect's default."""

from __future__ import annotations

import logging
from typing import ClassVar, Final

from ottla.connect.converters.interface import NULL, HeaderConverter
from ottla.connect.data.schema import Schema, SchemaAndValue, Value
from ottla.connect.data.schemas import BYTES
from ottla.connect.data.texts import value_text
from ottla.connect.data.values import parse_text
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError

__all__ = ["SimpleHeaderConverter"]

_LOG: Final = logging.getLogger(__name__)


class SimpleHeaderConverter(HeaderConverter):
    """Values as texts, and texts as the values that they seem to be."""

    CONFIG: ClassVar = ConfigDef().define(
        "converter.type", ConfigType.STRING, "header", Importance.LOW, "Set by the worker."
    )

    def from_connect_header(self, topic: str, key: str, schema: Schema | None, value: Value) -> bytes | None:
        text = value_text(schema, value)
        return None if text is None else text.encode()

    def to_connect_header(self, topic: str, key: str, data: bytes | None) -> SchemaAndValue:
        if data is None:
            return NULL
        try:
            return parse_text(data.decode("utf-8", "replace"))
        except DataError as error:
            _LOG.warning("the header %r of a record of %s is taken as bytes: %s", key, topic, error)
            return SchemaAndValue(BYTES, data)
