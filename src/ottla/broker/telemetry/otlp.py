"""Metrics of OpenTelemetry as bytes: what clients push is what a collector takes, as `MetricsData` has the
fields of `ExportMetricsServiceRequest`. All that is to be added is whose they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

_RESOURCE_METRICS: Final = 0x0A
"""Field 1, with a length: in MetricsData, and the resource in ResourceMetrics, and its attributes"""
_VALUE: Final = 0x12


class MalformedMetricsError(ValueError):
    """What was pushed is no metrics."""


def with_attributes(metrics: bytes, attributes: Mapping[str, str]) -> bytes:
    """The metrics with these as attributes of each of their resources.

    A field that comes twice is merged, as Protobuf has it, so that they stand behind what is there. Raises
    MalformedMetricsError.
    """
    added = _field(_RESOURCE_METRICS, b"".join(_attribute(*each) for each in attributes.items()))
    return b"".join(_field(_RESOURCE_METRICS, part + added) for part in _parts(metrics))


def _attribute(name: str, value: str) -> bytes:
    told = _field(_RESOURCE_METRICS, value.encode(errors="replace"))
    return _field(_RESOURCE_METRICS, _field(_RESOURCE_METRICS, name.encode()) + _field(_VALUE, told))


def _parts(metrics: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(metrics):
        if metrics[position] != _RESOURCE_METRICS:
            raise MalformedMetricsError("it has another field than the metrics of resources")
        size, start = _varint(metrics, position + 1)
        position = start + size
        if position > len(metrics):
            raise MalformedMetricsError("it ends early")
        yield metrics[start:position]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedMetricsError("it has a length that is none")


def _field(tag: int, content: bytes) -> bytes:
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes((tag, *length)) + content
