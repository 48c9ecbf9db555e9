"""Producers and their transactions."""

from __future__ import annotations

from typing import NoReturn

from ottla.broker.request import RequestContext
from ottla.protocol.errors import ErrorCode, KafkaError


def known_to_client(context: RequestContext, error: KafkaError, fenced_since: int) -> ErrorCode:
    """The error's code; producer_fenced only from the version on in which clients know it (KIP-588)."""
    if error.code is ErrorCode.producer_fenced and context.api_version < fenced_since:
        return ErrorCode.invalid_producer_epoch
    return error.code


def refuse(context: RequestContext, fenced_since: int, error: KafkaError) -> NoReturn:
    """Refuse a request as a whole; as `known_to_client`."""
    raise KafkaError(known_to_client(context, error, fenced_since)) from error
