"""How each listener is secured: its own settings (`listener.name.NAME.`), or else those of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ottla.config.definition import ConfigDef, ConfigError
from ottla.config.layers import BrokerLayers, resolve
from ottla.config.listeners import Listener
from ottla.config.sasl import PRINCIPAL_BUILDER, SaslSettings, sasl_settings
from ottla.config.tls import TlsSettings, tls_settings


@dataclass(frozen=True, repr=False)
class ListenerSecurity:
    """None for what its protocol has not."""

    tls: TlsSettings | None = None
    sasl: SaslSettings | None = None


def listener_security(
    listeners: Sequence[Listener], layers: BrokerLayers, registry: Mapping[str, ConfigDef]
) -> Mapping[str, ListenerSecurity]:
    """By the listeners' names. Raises ConfigError for what cannot be meant."""
    return {listener.name: _security(listener, layers, registry) for listener in listeners}


def _security(
    listener: Listener, layers: BrokerLayers, registry: Mapping[str, ConfigDef]
) -> ListenerSecurity:
    def value(key: str, mechanism: str | None = None, *, is_own: bool = False) -> Any:
        """Of the mechanism, the listener, or (unless it must be its own) of all listeners."""
        for name in _names(listener.name, key, mechanism):
            for sourced in layers.texts(name):
                return registry[key].parse(sourced.text)
        return None if is_own else resolve((key,), layers, registry)

    protocol = listener.protocol.value
    builder = value("principal.builder.class")
    if builder != PRINCIPAL_BUILDER:
        raise ConfigError(
            f"{builder} cannot be loaded; {PRINCIPAL_BUILDER} is what there is", "principal.builder.class"
        )
    tls = sasl = None
    if protocol.endswith("SSL"):
        tls = tls_settings(
            lambda key: (
                value(key, is_own=True) or "none"
                if key == "ssl.client.auth" and protocol == "SASL_SSL"  # as in Kafka: SASL tells who it is
                else value(key)
            ),
            listener.name,
        )
    if protocol.startswith("SASL"):
        sasl = sasl_settings(value, listener.name)
    return ListenerSecurity(tls, sasl)


def _names(listener: str, key: str, mechanism: str | None) -> Iterator[str]:
    prefix = f"listener.name.{listener.lower()}."
    if mechanism is not None:
        yield f"{prefix}{mechanism.lower()}.{key}"
    yield prefix + key
