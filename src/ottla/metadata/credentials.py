"""What the cluster keeps of its users' passwords, for SCRAM (KIP-84, KIP-554)."""

from __future__ import annotations

import base64
from typing import Final, NamedTuple

from ottla.metadata import documents
from ottla.metadata.transaction import MetadataFormatError
from ottla.protocol.codes import ScramMechanism

SCRAM: Final = "/scram/"
"""Below it: `<mechanism>/<user>`"""


MECHANISMS: Final = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
"""Those that there are"""

MIN_ITERATIONS: Final = 4096
MAX_ITERATIONS: Final = 16384
"""Of new credentials, as Kafka bounds them"""


class ScramUser(NamedTuple):
    """A user has a credential for each mechanism that he may come with."""

    mechanism: ScramMechanism
    name: str


class ScramCredential(NamedTuple):
    """What is kept of a password: enough to check a proof, not enough to make one."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int
    revision: int = 0
    """Of its key"""

    def __repr__(self) -> str:
        return f"ScramCredential(iterations={self.iterations})"


def credential_key(user: ScramUser) -> str:
    return f"{SCRAM}{user.mechanism.mechanism}/{user.name}"


def parse_credential_key(key: str) -> ScramUser:
    mechanism, _, name = key.removeprefix(SCRAM).partition("/")
    for known in MECHANISMS:
        if known.mechanism == mechanism and name:
            return ScramUser(known, name)
    raise MetadataFormatError(f"{key} is no credential's key")


def encode_credential(credential: ScramCredential) -> bytes:
    return documents.encode(
        {
            "salt": base64.b64encode(credential.salt).decode(),
            "stored_key": base64.b64encode(credential.stored_key).decode(),
            "server_key": base64.b64encode(credential.server_key).decode(),
            "iterations": credential.iterations,
        }
    )


def decode_credential(key: str, value: bytes, revision: int) -> ScramCredential:
    """Raises MetadataFormatError for what `encode_credential` does not write, without showing it."""
    try:
        salt, stored, server, iterations = documents.decode(
            value, {"salt": str, "stored_key": str, "server_key": str, "iterations": int}
        )
        salt, stored, server = (base64.b64decode(each, validate=True) for each in (salt, stored, server))
    except (MetadataFormatError, ValueError):
        raise MetadataFormatError(f"what {key} holds is no credential") from None
    return ScramCredential(salt, stored, server, iterations, revision)
