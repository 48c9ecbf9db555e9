"""AlterUserScramCredentials: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ScramCredentialDeletion(Struct):
    name: str = field("string", "0+")
    mechanism: int = field("int8", "0+")


class ScramCredentialUpsertion(Struct):
    name: str = field("string", "0+")
    mechanism: int = field("int8", "0+")
    iterations: int = field("int32", "0+")
    salt: bytes = field("bytes", "0+")
    salted_password: bytes = field("bytes", "0+")


class AlterUserScramCredentialsRequest(Struct, key=51, versions="0", flexible="0+"):
    deletions: Sequence[ScramCredentialDeletion] = array(ScramCredentialDeletion, "0+")
    upsertions: Sequence[ScramCredentialUpsertion] = array(ScramCredentialUpsertion, "0+")


class AlterUserScramCredentialsResult(Struct):
    user: str = field("string", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class AlterUserScramCredentialsResponse(Struct, key=51, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    results: Sequence[AlterUserScramCredentialsResult] = array(AlterUserScramCredentialsResult, "0+")
