"""What clients are asked for, as the metadata has it now, and where it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Final
from uuid import UUID

from ottla.broker.host import Host
from ottla.broker.request import RequestContext
from ottla.broker.telemetry.export import Exporter
from ottla.broker.telemetry.instances import Instance, Instances
from ottla.broker.telemetry.otlp import MalformedMetricsError, with_attributes
from ottla.config.client_metrics import TelemetryConfig, otlp_headers
from ottla.config.current import Current
from ottla.metadata.client_metrics import Subscription, subscription
from ottla.metadata.image import ImageSource
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.push_telemetry import PushTelemetryRequest
from ottla.records.compression import decompress

_INFLATED_MAX: Final = 16
"""Times `telemetry.max.bytes`"""


class Telemetry:
    """Of the clients of one broker."""

    def __init__(
        self, config: Current[TelemetryConfig], host: Host, metadata: ImageSource, threads: Executor
    ) -> None:
        """`threads` inflate what was pushed."""
        endpoint = config.value.ottla_telemetry_otlp_endpoint
        assert endpoint is not None
        headers = otlp_headers(config.value.ottla_telemetry_otlp_headers)
        self.exporter = Exporter(endpoint, headers, host.make_executor(1, "ottla-telemetry"))
        self._config = config
        self._clock = host.clock
        self._metadata = metadata
        self._threads = threads
        self._instances = Instances(host.new_uuid, lambda: config.value.telemetry_max_bytes)
        self._configs: object = None
        self._subscriptions: Mapping[str, Subscription] = {}

    @property
    def max_bytes(self) -> int:
        return self._config.value.telemetry_max_bytes

    def ask(self, context: RequestContext, instance_id: UUID | None) -> tuple[UUID, Instance]:
        """As `Instances.ask`."""
        return self._instances.ask(instance_id, _attributes(context), self._wanted(), self._now_ms())

    async def push(self, context: RequestContext, message: PushTelemetryRequest) -> None:
        """As `Instances.push`, and KafkaError(invalid_record) for what is no metrics."""
        attributes = _attributes(context)
        self._instances.push(message, attributes, self._wanted(), self._now_ms())
        if not message.metrics:
            return
        attributes["client_instance_id"] = str(message.client_instance_id)
        attributes["principal"] = str(context.session.principal)
        run = asyncio.get_running_loop().run_in_executor
        pushed = bytes(message.metrics)
        self.exporter.send(await run(self._threads, self._read, message.compression_type, pushed, attributes))

    async def stop(self) -> None:
        """Send what is left, as long as that does not take long."""
        await self.exporter.stop()

    def _read(self, codec: int, pushed: bytes, attributes: Mapping[str, str]) -> bytes:
        try:
            return with_attributes(decompress(codec, pushed, _INFLATED_MAX * self.max_bytes), attributes)
        except (KafkaError, MalformedMetricsError):
            raise KafkaError(ErrorCode.invalid_record) from None

    def _wanted(self) -> Mapping[str, Subscription]:
        """Another object whenever a subscription has changed."""
        configs = self._metadata.image.client_metrics
        if configs is not self._configs:
            self._configs = configs
            self._subscriptions = {name: subscription(each.values) for name, each in configs.items()}
        return self._subscriptions

    def _now_ms(self) -> int:
        return int(self._clock.monotonic_s() * 1000)


def _attributes(context: RequestContext) -> dict[str, str]:
    """Of a client, by the names that subscriptions have for them."""
    session = context.session
    name, version = session.software
    told = {
        "client_id": context.client_id,
        "client_software_name": name,
        "client_software_version": version,
        "client_source_address": session.peer_host,
        "client_source_port": str(session.peer_port),
    }
    return {key: value[:1000] for key, value in told.items() if value}
