"""Columns of one message, and programs that read it in whatever schema it is."""

from __future__ import annotations

from array import array

import pyarrow as pa

from ottla.client.values.interface import ValuesError
from ottla.client.values.programs.builder import ProgramBuilder
from ottla.client.values.programs.layout import Column, Layout
from ottla.client.values.programs.plain import Program
from ottla.client.values.protobuf.places import Compiler, place_of
from ottla.client.values.protobuf.schema import Messages, read_indexes
from ottla.client.values.registry import Schema

__all__ = ["ProtobufReading"]


class ProtobufReading:
    """The columns of the message that is called `name` or, without one, that `indexes` lead to."""

    def __init__(self, schema: Schema, name: str | None, indexes: bytes) -> None:
        messages = Messages(schema.text, schema.resolved)
        at = read_indexes(indexes)[0] if name is None else messages.find(name)
        if at is None:
            raise ValuesError(f"the Protobuf schema has no message {name}")
        message = messages.at(at)
        self._name = message.name
        layout = Layout()
        self._place = place_of(message, layout)
        self.layout = layout.words()

    @property
    def type(self) -> pa.DataType:
        return self._place.column.type

    @property
    def column(self) -> Column:
        return self._place.column

    def program(self, schema: Schema, indexes: bytes | None) -> tuple[Program, list[str]]:
        """A message is read by the numbers of its fields, whatever else its writer's schema says of it."""
        expected = Messages(schema.text, schema.resolved).find(self._name)
        if expected is None or (indexes is not None and read_indexes(indexes)[0] != expected):
            raise ValuesError(f"the value is no {self._name}, which is read")
        builder = ProgramBuilder()
        compiler = Compiler(builder)
        entry = compiler.compile(self._place)
        words = array("i", expected).tobytes()
        return builder.program(entry, self.layout, compiler.slots, words), builder.texts
