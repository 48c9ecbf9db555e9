"""SaslHandshake: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class SaslHandshakeRequest(Struct, key=17, versions="0-1", flexible="none"):
    mechanism: str = field("string", "0+")


class SaslHandshakeResponse(Struct, key=17, versions="0-1", flexible="none"):
    error_code: int = field("int16", "0+")
    mechanisms: Sequence[str] = array("string", "0+")
