"""The connections to the other brokers: where they are, and how this one tells them who it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from ottla.broker.host import Host
from ottla.config.current import Current
from ottla.config.definition import ConfigError
from ottla.config.network import NetworkConfig
from ottla.config.sasl import SaslSettings, jaas_key
from ottla.identity.sasl import Mechanism, SaslError, password_mechanism
from ottla.metadata.image import ImageSource
from ottla.network.peers import Address, PeerError, PeerLimits, Peers, PeerSecurity, Sender
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from ottla.protocol.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

_NONCE_BITS: Final = 192
_PASSWORD_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def make_peers(host: Host, current: Current[NetworkConfig], metadata: ImageSource) -> Peers:
    """Raises ConfigError where the settings don't say how they are to be reached."""
    config = current.value

    def address_of(node_id: int) -> Address | None:
        registration = metadata.image.brokers.get(node_id)
        endpoint = registration and registration.listeners.get(config.inter_broker_listener_name)
        return (endpoint.host, endpoint.port) if endpoint else None

    limits = PeerLimits(
        request_max_bytes=config.ottla_request_max_bytes,
        response_max_bytes=config.socket_request_max_bytes,
        connect_timeout_s=config.socket_connection_setup_timeout_ms / 1000,
    )
    return Peers(host.connect, address_of, limits, _security(host, current))


def _security(host: Host, current: Current[NetworkConfig]) -> PeerSecurity:
    name = current.value.inter_broker_listener_name
    security = current.value.listener_security[name]
    tls = None
    if security.tls is not None:
        from ottla.network.tls import PeerTls  # OpenSSL is not needed otherwise

        tls = PeerTls(security.tls).context
    if security.sasl is None:
        return PeerSecurity(tls)
    timeout_s = current.value.socket_connection_setup_timeout_ms / 1000
    return PeerSecurity(tls, partial(_prove, _mechanism_of(security.sasl, name, host), timeout_s))


def _mechanism_of(sasl: SaslSettings, listener: str, host: Host) -> Callable[[], tuple[str, Mechanism]]:
    """How this broker says who it is, anew for each connection. Raises ConfigError."""
    name, login = sasl.inter_broker_mechanism, sasl.inter_broker_login
    if name not in _PASSWORD_MECHANISMS:
        raise ConfigError(
            f"sasl.mechanism.inter.broker.protocol={name}: brokers among themselves use one of "
            f"{', '.join(_PASSWORD_MECHANISMS)}",
            "sasl.mechanism.inter.broker.protocol",
        )
    if login is None:
        raise ConfigError(
            f"{jaas_key(listener, name)} needs username and password: as whom this broker comes to others",
            "sasl.jaas.config",
        )
    user, password = login
    return lambda: (
        name,
        password_mechanism(name, user, password, f"{host.random.getrandbits(_NONCE_BITS):048x}"),
    )


async def _prove(begin: Callable[[], tuple[str, Mechanism]], timeout_s: float, peer: Sender) -> float | None:
    """Tell a peer who we are; gives for how many seconds it believes it, None for good. Raises PeerError."""
    name, mechanism = begin()
    handshake = await peer.request(SaslHandshakeRequest(mechanism=name), SaslHandshakeResponse, timeout_s)
    if handshake.error_code:
        raise PeerError(f"SASL {name}: {ErrorCode(handshake.error_code).name}")
    message: bytes | None = mechanism.first()
    while message is not None:
        answer = await peer.request(
            SaslAuthenticateRequest(auth_bytes=message), SaslAuthenticateResponse, timeout_s
        )
        if answer.error_code:
            raise PeerError(f"SASL {name}: {answer.error_message or ErrorCode(answer.error_code).name}")
        try:
            message = mechanism.answer(bytes(answer.auth_bytes))
        except SaslError as error:
            raise PeerError(f"SASL {name}: {error}") from error
    return answer.session_lifetime_ms / 1000 or None
