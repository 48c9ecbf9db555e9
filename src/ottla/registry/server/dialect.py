"""What HTTP is like in the registry: Confluent's media types, and the headers that instances tell each "
"other by."""

from __future__ import annotations

from typing import Final

from ottla.http.app import Dialect, Request

V1: Final = "application/vnd.schemaregistry.v1+json"
_ANSWERED: Final = (V1, "application/vnd.schemaregistry+json", "application/json")
DIALECT: Final = Dialect(_ANSWERED, (*_ANSWERED, "application/octet-stream"), "schema registry")
OFFSET_HEADER: Final = "ottla-registry-offset"
"""Up to where the log must be read to see what was written"""
FORWARD_HEADER: Final = "x-forward"


def was_forwarded(request: Request) -> bool:
    return request.headers.get(FORWARD_HEADER) == "false"
