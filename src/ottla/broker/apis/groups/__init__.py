"""Groups and their offsets."""

from __future__ import annotations

from ottla.broker.request import RequestContext
from ottla.coordination.runtime import Client


def client_of(context: RequestContext) -> Client:
    """Who asks, as coordinators want it; the host is written as Java writes addresses."""
    return Client(context.client_id or "", f"/{context.session.peer_host}", context.api_version)
