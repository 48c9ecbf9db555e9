"""Rows of numbers and plain texts as the JSON that `Json` writes for them, by Arrow's kernels."""

from __future__ import annotations

import json
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["json_text"]

_SPECIAL: Final = '["\\\\\\x00-\\x1f]'
"""What JSON has to escape."""


def json_text(array: pa.Array) -> pa.Array | None:
    """The texts of `array`'s rows; None where a value has to be written by itself: a double, a text with
    something to escape, a list."""
    kind = array.type
    if not pa.types.is_struct(kind) or array.null_count or not kind.num_fields:
        return None
    pieces: list[pa.Array | str] = []
    for index, field in enumerate(kind.fields):
        value = _value(array.field(index))
        if value is None:
            return None
        pieces += [("{" if not index else ",") + json.dumps(field.name, ensure_ascii=False) + ":", value]
    return pc.binary_join_element_wise(*pieces, "}", "")


def _value(array: pa.Array) -> pa.Array | None:
    kind = array.type
    if pa.types.is_int64(kind) or pa.types.is_boolean(kind):
        text = array.cast(pa.string())
    elif pa.types.is_string(kind):
        if pc.any(pc.match_substring_regex(array, _SPECIAL), min_count=0).as_py():
            return None
        text = pc.binary_join_element_wise('"', array, '"', "")
    elif pa.types.is_null(kind):
        return pa.repeat("null", len(array))
    elif pa.types.is_struct(kind):
        return json_text(array)
    else:
        return None
    return pc.fill_null(text, "null") if text.null_count else text
