"""Listeners that ask who comes, and what their clients prove themselves by."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from tests.certificates import Authority, Identity

LISTENERS: Final = {
    "ASKED": "SASL_PLAINTEXT",
    "SECURED": "SASL_SSL",
    "MUTUAL": "SSL",
    "RENEWED": "SASL_PLAINTEXT",
}
"""MUTUAL asks for certificates; on RENEWED sessions last 3 s."""
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_LOGIN: Final = "org.apache.kafka.common.security"
_VALIDATOR: Final = f"{_LOGIN}.oauthbearer.OAuthBearerValidatorCallbackHandler"
_MODULES: Final = {
    "plain": f'{_LOGIN}.plain.PlainLoginModule required user_ann="pass" user_bob="word";',
    "scram-sha-256": f"{_LOGIN}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{_LOGIN}.scram.ScramLoginModule required;",
    "oauthbearer": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule required;",
}


class Proof:
    """Keys and certificates, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.authority, self.foreign = Authority(), Authority("Elsewhere")
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True) | {"kid": "a"}
        (folder / "jwks").write_text(json.dumps({"keys": [jwk]}))
        self._keys_url = (folder / "jwks").as_uri()
        self.properties = (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._keys_url}",)
        """What Java has to be told for them"""
        self.ca = self.authority.write(folder / "ca.pem")

    @property
    def settings(self) -> Mapping[str, str]:
        """Of a broker with the listeners."""
        asking = [name.lower() for name, protocol in LISTENERS.items() if protocol.startswith("SASL")]
        return {
            "connection.failed.authentication.delay.ms": "20",
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.authority.give_to("localhost").write(self._folder / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.ca,
            "listener.name.mutual.ssl.client.auth": "required",
            "sasl.oauthbearer.jwks.endpoint.url": self._keys_url,
            "sasl.oauthbearer.expected.issuer": "me",
            "sasl.oauthbearer.expected.audience": "us",
            **{
                f"listener.name.{name}.{mechanism}.sasl.jaas.config": module
                for name in asking
                for mechanism, module in _MODULES.items()
            },
            **{
                f"listener.name.{name}.oauthbearer.sasl.server.callback.handler.class": _VALIDATOR
                for name in asking
            },
            **{
                f"listener.name.renewed.{mechanism}.connections.max.reauth.ms": "3000"
                for mechanism in _MODULES
            },
        }

    def token(self, expires_s: float = 600, **changes: Any) -> str:
        """A JSON Web Token of ann's."""
        now = int(time.time())
        claims = {"sub": "ann", "iss": "me", "aud": "us", "iat": now - 700, "exp": now + int(expires_s)}
        return jwt.encode(claims | changes, self._key, "ES256", {"kid": "a"})

    def context(self, identity: Identity | None = None) -> ssl.SSLContext:
        """A client's, who may have a certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = False
        if identity is not None:
            context.load_cert_chain(identity.write(self._folder / f"client-{uuid.uuid4()}.pem"))
        return context
