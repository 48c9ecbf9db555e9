"""The numbers of descriptor.proto: types, labels, and the options that have names of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

__all__ = [
    "CONSTANT_OPTIONS",
    "ENUM_OPTIONS",
    "FIELD_OPTIONS",
    "FIRST_EDITION",
    "FILE_OPTIONS",
    "LABELS",
    "MESSAGE_OPTIONS",
    "META",
    "RPC_OPTIONS",
    "SERVICE_OPTIONS",
    "TYPES",
    "Words",
]

TYPES: Final = (
    *("double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group"),
    *("message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64"),
)
"""FieldDescriptorProto.Type, from 1."""
FIRST_EDITION: Final = (2023, 1_000)
"""A year and its number; those after it follow."""
LABELS: Final = ("", "optional", "required", "repeated")
META: Final = 1088
"""Confluent's own option, in all kinds of options."""

Words = Mapping[int, tuple[str, Sequence[str] | str]]
"""Of each option that has a value of its own: the name, and `string`, `bool` or the names of its enum."""
FILE_OPTIONS: Final[Words] = {
    1: ("java_package", "string"),
    8: ("java_outer_classname", "string"),
    10: ("java_multiple_files", "bool"),
    20: ("java_generate_equals_and_hash", "bool"),
    27: ("java_string_check_utf8", "bool"),
    9: ("optimize_for", ("", "SPEED", "CODE_SIZE", "LITE_RUNTIME")),
    11: ("go_package", "string"),
    16: ("cc_generic_services", "bool"),
    17: ("java_generic_services", "bool"),
    18: ("py_generic_services", "bool"),
    23: ("deprecated", "bool"),
    31: ("cc_enable_arenas", "bool"),
    36: ("objc_class_prefix", "string"),
    37: ("csharp_namespace", "string"),
    39: ("swift_prefix", "string"),
    40: ("php_class_prefix", "string"),
    41: ("php_namespace", "string"),
    44: ("php_metadata_namespace", "string"),
    45: ("ruby_package", "string"),
}
MESSAGE_OPTIONS: Final[Words] = {
    1: ("message_set_wire_format", "bool"),
    2: ("no_standard_descriptor_accessor", "bool"),
    3: ("deprecated", "bool"),
    7: ("map_entry", "bool"),
}
FIELD_OPTIONS: Final[Words] = {
    1: ("ctype", ("STRING", "CORD", "STRING_PIECE")),
    2: ("packed", "bool"),
    6: ("jstype", ("JS_NORMAL", "JS_STRING", "JS_NUMBER")),
    5: ("lazy", "bool"),
    3: ("deprecated", "bool"),
    16: ("debug_redact", "bool"),
}
ENUM_OPTIONS: Final[Words] = {2: ("allow_alias", "bool"), 3: ("deprecated", "bool")}
CONSTANT_OPTIONS: Final[Words] = {1: ("deprecated", "bool"), 3: ("debug_redact", "bool")}
SERVICE_OPTIONS: Final[Words] = {33: ("deprecated", "bool")}
RPC_OPTIONS: Final[Words] = {
    33: ("deprecated", "bool"),
    34: ("idempotency_level", ("IDEMPOTENCY_UNKNOWN", "NO_SIDE_EFFECTS", "IDEMPOTENT")),
}
