"""Where a broker listens, and what it tells clients to connect to: `name://host:port`."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from ottla.config.definition import ConfigError


class SecurityProtocol(enum.Enum):
    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class Listener(NamedTuple):
    """To be opened: an empty host is every interface, port 0 a free one. To be advertised: an empty host is
    this machine's own name, port 0 the one that was opened.
    """

    name: str
    protocol: SecurityProtocol
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}://{host}:{self.port}"


class ListenerSettings(NamedTuple):
    """The values of the keys of that name; None for what is not set and has no default."""

    listeners: Sequence[str]
    advertised_listeners: Sequence[str] | None
    listener_security_protocol_map: str
    is_protocol_map_set: bool
    controller_listener_names: Sequence[str]
    early_start_listeners: Sequence[str] | None
    inter_broker_listener_name: str | None
    security_inter_broker_protocol: str
    is_inter_broker_protocol_set: bool


class Listeners(NamedTuple):
    """What `ListenerSettings` come to.

    `advertised` has the names of all or some of `opened`; other nodes connect to the one that is called
    `inter_broker_name`. Controllers' listeners are in none of them: there is no KRaft quorum to open one for.
    """

    opened: tuple[Listener, ...]
    advertised: tuple[Listener, ...]
    inter_broker_name: str


def resolve_listeners(settings: ListenerSettings) -> Listeners:
    """Raises ConfigError for what Kafka refuses."""
    controllers = {name.upper() for name in settings.controller_listener_names}
    protocols = _protocols(settings, controllers)
    every = _parse("listeners", settings.listeners, protocols)
    _check_ports(every)
    _check_early_start(settings.early_start_listeners, {*controllers, *(entry.name for entry in every)})
    opened = tuple(listener for listener in every if listener.name not in controllers)
    if not opened:
        raise ConfigError(
            "Invalid value for configuration listeners: every listener is in controller.listener.names",
            "listeners",
        )
    advertised = opened
    if settings.advertised_listeners is not None:
        given = _parse("advertised.listeners", settings.advertised_listeners, protocols)
        advertised = tuple(listener for listener in given if listener.name not in controllers)
    _check_advertised(advertised, opened, is_set=settings.advertised_listeners is not None)
    return Listeners(opened, advertised, _inter_broker_name(settings, protocols, advertised))


def _refuse(key: str, value: object, problem: str) -> NoReturn:
    raise ConfigError(f"Invalid value {value} for configuration {key}: {problem}", key)


def _protocol(key: str, shown: str, text: str) -> SecurityProtocol:
    try:
        return SecurityProtocol(text.upper())
    except ValueError:
        names = ", ".join(protocol.value for protocol in SecurityProtocol)
        _refuse(
            key, shown, f"expected NAME:PROTOCOL with one of {names}" if shown != text else f"one of {names}"
        )


def _protocols(settings: ListenerSettings, controllers: Iterable[str]) -> dict[str, SecurityProtocol]:
    """`listener.security.protocol.map`; unless it is set, controllers speak PLAINTEXT where nobody speaks
    anything else.
    """
    key = "listener.security.protocol.map"
    protocols: dict[str, SecurityProtocol] = {}
    for value in filter(None, (part.strip() for part in settings.listener_security_protocol_map.split(","))):
        name, _, protocol = value.rpartition(":")
        name = name.strip().upper()
        parsed = _protocol(key, value, protocol.strip())
        if not name:
            _refuse(key, value, "expected NAME:PROTOCOL")
        if name in protocols:
            _refuse(key, value, f"{name} is named twice")
        protocols[name] = parsed
    if not settings.is_protocol_map_set:
        names = {*controllers, *(value.partition(":")[0].upper() for value in settings.listeners)}
        if not names & {"SSL", "SASL_PLAINTEXT", "SASL_SSL"}:
            protocols.update(dict.fromkeys(controllers, SecurityProtocol.PLAINTEXT))
    return protocols


_LISTENER = re.compile(
    r"(?P<name>[A-Za-z0-9_-]+)://"
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]"
    r"|(?P<host>[A-Za-z0-9._-]*)"
    r"|(?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*))"
    r":(?P<port>[0-9]{1,5})"
)


def _parse(
    key: str, values: Sequence[str], protocols: Mapping[str, SecurityProtocol]
) -> tuple[Listener, ...]:
    listeners: list[Listener] = []
    for value in values:
        match = _LISTENER.fullmatch(value)
        if match is None or int(match["port"]) > 65535:
            _refuse(key, value, "expected name://host:port, for example PLAINTEXT://127.0.0.1:9092")
        name = match["name"].upper()
        if name not in protocols:
            _refuse(key, value, f"listener.security.protocol.map has no protocol for {name}")
        host = match["bracketed"] or match["bare"] or match["host"] or ""
        listeners.append(Listener(name, protocols[name], host, int(match["port"])))
    if len({listener.name for listener in listeners}) != len(listeners):
        _refuse(key, ",".join(values), "each listener must have its own name")
    return tuple(listeners)


def _check_ports(listeners: Sequence[Listener]) -> None:
    """Two listeners may share a port only if one has an IPv4 and the other an IPv6 address."""
    by_port: dict[int, list[Listener]] = {}
    for listener in listeners:
        by_port.setdefault(listener.port, []).append(listener)
    for port, sharing in by_port.items():
        if port and len(sharing) > 1 and sorted(map(_ip_version, sharing)) != [4, 6]:
            _refuse(
                "listeners",
                ",".join(map(str, sharing)),
                "each listener must have its own port, except one with an IPv4 and one with an IPv6 address",
            )


_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.(?!$)|$)){4}")


def _ip_version(listener: Listener) -> int:
    """4 or 6; 0 for a host name or none."""
    return 6 if ":" in listener.host else 4 if _IPV4.fullmatch(listener.host) else 0


def _check_early_start(names: Sequence[str] | None, known: set[str]) -> None:
    for name in names or ():
        if name.upper() not in known:
            _refuse("early.start.listeners", name, "not in listeners or controller.listener.names")


def _check_advertised(advertised: Sequence[Listener], opened: Sequence[Listener], *, is_set: bool) -> None:
    known = {listener.name for listener in opened}
    if not advertised:
        raise ConfigError(
            "Invalid value for configuration advertised.listeners: no listener is advertised",
            "advertised.listeners",
        )
    for listener in advertised:
        if listener.name not in known:
            _refuse(
                "advertised.listeners", listener, f"not in listeners, which are {', '.join(sorted(known))}"
            )
        if listener.host in ("0.0.0.0", "::"):  # noqa: S104 -- refused, not bound
            if is_set:
                _refuse("advertised.listeners", listener, "clients cannot connect to that address")
            example = listener._replace(host="broker.example.org", port=listener.port or 9092)
            _refuse(
                "listeners",
                listener,
                "that is every interface, and no address for clients to connect to: "
                f"say what they are to use, as in advertised.listeners={example}",
            )


def _inter_broker_name(
    settings: ListenerSettings, protocols: Mapping[str, SecurityProtocol], advertised: Sequence[Listener]
) -> str:
    key = "inter.broker.listener.name"
    if settings.inter_broker_listener_name is None:
        protocol_key = "security.inter.broker.protocol"
        text = settings.security_inter_broker_protocol
        name = _protocol(protocol_key, text, text).value
        if len(advertised) == 1 and not settings.is_inter_broker_protocol_set:
            return advertised[0].name  # there is no choice, though Kafka asks for it to be said
    else:
        name = settings.inter_broker_listener_name.upper()
        if settings.is_inter_broker_protocol_set:
            raise ConfigError(f"Only one of {key} and security.inter.broker.protocol may be set.", key)
        if name not in protocols:
            _refuse(key, name, "listener.security.protocol.map has no protocol for it")
    names = [listener.name for listener in advertised]
    if name not in names:
        _refuse(key, name, f"it must be one of the advertised listeners, which are {', '.join(names)}")
    return name
