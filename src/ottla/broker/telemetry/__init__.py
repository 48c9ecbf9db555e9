"""What clients tell of themselves (KIP-714): asked for by subscriptions, and handed on as OTLP."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ottla.broker.host import Host
    from ottla.broker.telemetry.telemetry import Telemetry
    from ottla.config.client_metrics import TelemetryConfig
    from ottla.config.current import Current
    from ottla.metadata.image import ImageSource


def make_telemetry(
    config: Current[TelemetryConfig], host: Host, metadata: ImageSource, threads: Executor
) -> Telemetry | None:
    """None where nobody wants to know. `threads` inflate what was pushed."""
    if config.value.ottla_telemetry_otlp_endpoint is None:
        return None
    from ottla.broker.telemetry.telemetry import Telemetry

    return Telemetry(config, host, metadata, threads)
