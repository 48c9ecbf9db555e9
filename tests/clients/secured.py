"""A broker that listens in all four of Kafka's protocols, with all mechanisms, and once more to those alone
who show a certificate.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.certificates import Authority

from ottla import client
from ottla.client.admin.credentials import ScramMechanism, ScramUpsertion
from ottla.testing import run_broker
from ottla.testing.cluster import free_ports

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
PASSWORD: Final = "päss,="
_LINE: Final = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="{PASSWORD}";'
_KEY: Final = ec.generate_private_key(ec.SECP256R1())


MUTUAL: Final = "MUTUAL"
"""The listener of SSL that asks for certificates"""


class Place(NamedTuple):
    servers: dict[str, str]
    """By protocol, and MUTUAL's"""
    ca: str
    folder: Path
    authority: Authority


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("security")
    authority, ports = Authority(), free_ports(5)
    names = (*PROTOCOLS, MUTUAL)
    servers = {name: f"localhost:{port}" for name, port in zip(names, ports, strict=True)}
    ca = authority.write(folder / "ca.pem")
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(_KEY.public_key(), as_dict=True) | {"kid": "a"}
    (folder / "jwks").write_text(json.dumps({"keys": [jwk]}))
    settings = {
        "listeners": ",".join(f"{name}://{at}" for name, at in servers.items()),
        "listener.security.protocol.map": ",".join((*(f"{name}:{name}" for name in PROTOCOLS), "MUTUAL:SSL")),
        "listener.name.mutual.ssl.client.auth": "required",
        "ssl.truststore.location": ca,
        "ssl.keystore.location": authority.give_to("localhost").write(folder / "server.pem"),
        "sasl.enabled.mechanisms": f"PLAIN,{','.join(SCRAM)},OAUTHBEARER",
        "sasl.oauthbearer.jwks.endpoint.url": (folder / "jwks").as_uri(),
        "sasl.oauthbearer.expected.issuer": "me",
        "sasl.oauthbearer.expected.audience": "us",
        "connection.failed.authentication.delay.ms": "10",
        **{f"listener.name.{name}.plain.sasl.jaas.config": _LINE for name in ("sasl_plaintext", "sasl_ssl")},
    }
    with run_broker(settings):
        with client.connect(servers["PLAINTEXT"]) as c:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                upsertion = ScramUpsertion(mechanism, PASSWORD, iterations=4096)
                c.admin.credentials.alter_scram({"ann": upsertion}).check()
            with c.producer() as producer:
                producer.send("t", b"v")
        yield Place(servers, ca, folder, authority)


def token(audience: str = "us", expires_s: float = 600) -> str:
    claims = {"sub": "ann", "iss": "me", "aud": audience, "iat": time.time(), "exp": time.time() + expires_s}
    return jwt.encode(claims, _KEY, "ES256", {"kid": "a"})


class Way(NamedTuple):
    """How a client comes."""

    protocol: str
    mechanism: str | None
    password: str = PASSWORD

    @property
    def is_secured(self) -> bool:
        return self.protocol.endswith("SSL")
