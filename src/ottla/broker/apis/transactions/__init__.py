"""Producers and their transactions."""

from __future__ import annotations

from ottla.broker.request import RequestContext
from ottla.protocol.errors import ErrorCode, KafkaError


def known_to_client(context: RequestContext, error: KafkaError, fenced_since: int) -> ErrorCode:
    """The error's code; producer_fenced only from the version on in which clients know it (KIP-588)."""
    if error.code is ErrorCode.producer_fenced and context.api_version < fenced_since:
        return ErrorCode.invalid_producer_epoch
    return error.code
