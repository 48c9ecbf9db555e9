"""A client of any Kafka, in columns: see `connect`.

Of Ottla it knows the protocol and the record format, and of a broker only what `bootstrap.servers` says.
"""

from __future__ import annotations

from ottla.client.values.factories import json, raw, text

__all__ = ["json", "raw", "text"]
