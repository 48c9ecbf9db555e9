"""The fixtures of a running broker."""

from __future__ import annotations

from tests.running_broker import broker, client, topic

__all__ = ["broker", "client", "topic"]
