"""`ottla.client.json()` and its kind: they bring pyarrow only when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ottla.client.errors import missing_extra

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.client.values.interface import Errors
    from ottla.client.values.json import JsonValues
    from ottla.client.values.raw import RawValues
    from ottla.client.values.text import TextValues

__all__ = ["json", "raw", "text"]


def json(schema: pa.Schema | pa.DataType | None = None, *, errors: Errors = "raise") -> JsonValues:
    """JSON of a schema that is declared here or, if None, inferred from the first batch and kept."""
    try:
        from ottla.client.values.json import JsonValues
    except ImportError as error:
        raise missing_extra("JSON values", error) from error
    return JsonValues(schema, errors)


def text(
    encoding: str = "utf-8", *, errors: Errors = "raise", invalid: Literal["broken", "replace"] = "broken"
) -> TextValues:
    """Text. Bytes that are none in `encoding` are broken, or become U+FFFD with `invalid="replace"`."""
    try:
        from ottla.client.values.text import TextValues
    except ImportError as error:
        raise missing_extra("text values", error) from error
    return TextValues(encoding, errors, invalid)


def raw() -> RawValues:
    """Bytes, as they are."""
    try:
        from ottla.client.values.raw import RawValues
    except ImportError as error:
        raise missing_extra("columns", error) from error
    return RawValues()
