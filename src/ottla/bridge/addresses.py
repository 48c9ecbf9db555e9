"""Under which address a client goes on with its consumer, behind proxies too. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

_HOST: Final = re.compile(r"(?:^|[;,\s])host=\"?([^;,\"\s]+)", re.IGNORECASE)
_PROTO: Final = re.compile(r"(?:^|[;,\s])proto=\"?(https?)\b", re.IGNORECASE)
_WITH_PORT: Final = re.compile(r".*:[0-9]+$")
_PORTS: Final = {"http": 80, "https": 443}
_CLEAN: Final = re.compile(r"[\x21-\x7e]*")


def consumer_uri(headers: Mapping[str, str], scheme: str, own: str, path: str, name: str) -> str:
    """That of the consumer `name`, made by a request to `path`.

    `own` is host and port of the listener, for a request without `Host`. `Forwarded` (RFC 7239) counts before
    `X-Forwarded-Host` and `X-Forwarded-Proto`, which count only together; `X-Forwarded-Path` is the path that
    the client sees.
    """
    host = _clean(headers.get("host")) or own
    path = _clean(headers.get("x-forwarded-path")) or path
    if forwarded := headers.get("forwarded"):
        by_host, by_proto = _HOST.search(forwarded), _PROTO.search(forwarded)
        if by_host and by_proto:
            host, scheme = by_host[1], by_proto[1].lower()
    else:
        by_header = _clean(headers.get("x-forwarded-host"))
        proto = headers.get("x-forwarded-proto", "").lower()
        if by_header and proto in _PORTS:
            host, scheme = by_header, proto
    if not _WITH_PORT.match(host):
        host = f"{host}:{_PORTS[scheme]}"
    return f"{scheme}://{host}{path.rstrip('/')}/instances/{quote(name, safe='')}"


def _clean(value: str | None) -> str | None:
    return value if value and _CLEAN.fullmatch(value) else None
