"""SaslHandshake, SaslAuthenticate: who a client is, where there is nothing to say (KIP-43, KIP-152).

A listener with SASL has them answered by `network/authenticator.py`, before all others.
"""

from __future__ import annotations

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import Open
from ottla.broker.services import NoServices
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from ottla.protocol.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse


def _handshake(
    _services: NoServices, _context: RequestContext, _message: SaslHandshakeRequest
) -> SaslHandshakeResponse:
    return SaslHandshakeResponse(error_code=ErrorCode.illegal_sasl_state)


def _authenticate(
    _services: NoServices, _context: RequestContext, _message: SaslAuthenticateRequest
) -> SaslAuthenticateResponse:
    text = "SaslAuthenticate request received after successful authentication"
    return SaslAuthenticateResponse(error_code=ErrorCode.illegal_sasl_state, error_message=text)


_OPEN = Open("it is how a client says who it is")

APIS = (
    Api(
        NoServices,
        SaslHandshakeRequest,
        SaslHandshakeResponse,
        _handshake,
        right=_OPEN,
        kips=(43, 152),
    ),
    Api(
        NoServices,
        SaslAuthenticateRequest,
        SaslAuthenticateResponse,
        _authenticate,
        right=_OPEN,
        kips=(152, 368),
    ),
)
