"""Kafka's codes of what ACLs and credentials are about: the client and the broker mean the same by them."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Code(IntEnum):
    """A member for each code that is known; any other is UNKNOWN, which each of these has."""

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls["UNKNOWN"]


class Operation(Code):
    """What a principal does (AclOperation)."""

    UNKNOWN = 0
    ANY = 1
    """In a filter: each of them"""
    ALL = 2
    """In an ACL: each of them"""
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    """What brokers alone do: follow, write markers, register"""
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


class ResourceType(Code):
    """What it is done with."""

    UNKNOWN = 0
    ANY = 1
    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


class PatternType(Code):
    """How an entry's name stands for resources."""

    UNKNOWN = 0
    ANY = 1
    """In a filter: entries with any pattern"""
    MATCH = 2
    """In a filter: entries that apply to the resource of that name"""
    LITERAL = 3
    PREFIXED = 4


class Permission(Code):
    """Whether it may be done (AclPermissionType)."""

    UNKNOWN = 0
    ANY = 1
    DENY = 2
    ALLOW = 3


class ScramMechanism(Code):
    """How a user proves that he knows his password."""

    UNKNOWN = 0
    SCRAM_SHA_256 = 1
    SCRAM_SHA_512 = 2

    @property
    def mechanism(self) -> str:
        """Its name in SASL."""
        return self.name.replace("_", "-")

    @property
    def hash_name(self) -> str:
        return "sha512" if self is ScramMechanism.SCRAM_SHA_512 else "sha256"
