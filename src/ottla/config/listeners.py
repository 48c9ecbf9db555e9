"""Listener addresses: `name://host:port`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ottla.config.definition import ConfigError


class Listener(NamedTuple):
    """An empty host is every interface; port 0 asks the system for a free one."""

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


_LISTENER = re.compile(r"([A-Za-z0-9_-]+)://(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})")
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


def parse_listeners(key: str, values: Iterable[str]) -> tuple[Listener, ...]:
    """The listeners of `values`; raises ConfigError for a wrong form or a name or port given twice."""
    listeners: list[Listener] = []
    for value in values:
        match = _LISTENER.fullmatch(value)
        if match is None or int(match[4]) > 65535:
            raise ConfigError(
                f"Invalid value {value} for configuration {key}: expected name://host:port, "
                "for example PLAINTEXT://127.0.0.1:9092",
                key,
            )
        listeners.append(Listener(match[1].upper(), match[2] or match[3] or "", int(match[4])))
    names = [listener.name for listener in listeners]
    if len(set(names)) != len(names):
        raise ConfigError(
            f"Invalid value {','.join(values)} for configuration {key}: each listener must have its own name",
            key,
        )
    return tuple(listeners)


def parse_protocol_map(values: Iterable[str]) -> dict[str, str]:
    """`listener.security.protocol.map` as protocol by listener name."""
    protocols: dict[str, str] = {}
    for value in values:
        name, _, protocol = value.partition(":")
        if not name or protocol.upper() not in _PROTOCOLS:
            raise ConfigError(
                f"Invalid value {value} for configuration listener.security.protocol.map: "
                f"expected NAME:PROTOCOL with one of {', '.join(_PROTOCOLS)}",
                "listener.security.protocol.map",
            )
        protocols[name.upper()] = protocol.upper()
    return protocols


def check_protocols(listeners: Iterable[Listener], protocols: dict[str, str]) -> None:
    """Refuse listeners that would have to speak TLS or SASL: an open port must not pass for a secured one."""
    for listener in listeners:
        shown = f"Invalid value {listener} for configuration listeners"
        protocol = protocols.get(listener.name)
        if protocol is None:
            raise ConfigError(
                f"{shown}: listener.security.protocol.map has no protocol for {listener.name}", "listeners"
            )
        if protocol != "PLAINTEXT":
            raise ConfigError(f"{shown}: {protocol} is not supported, only PLAINTEXT", "listeners")
