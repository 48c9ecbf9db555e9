"""DescribeUserScramCredentials: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class UserName(Struct):
    name: str = field("string", "0+")


class DescribeUserScramCredentialsRequest(Struct, key=50, versions="0", flexible="0+"):
    users: Sequence[UserName] | None = array(UserName, "0+", nullable="0+")


class CredentialInfo(Struct):
    mechanism: int = field("int8", "0+")
    iterations: int = field("int32", "0+")


class DescribeUserScramCredentialsResult(Struct):
    user: str = field("string", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    credential_infos: Sequence[CredentialInfo] = array(CredentialInfo, "0+")


class DescribeUserScramCredentialsResponse(Struct, key=50, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    results: Sequence[DescribeUserScramCredentialsResult] = array(DescribeUserScramCredentialsResult, "0+")
