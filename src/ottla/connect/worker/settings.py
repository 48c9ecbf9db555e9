"""Settings of a worker: Kafka Connect's names and defaults, from `worker.properties`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ottla.client.errors import ConfigurationError
from ottla.client.settings import LONG_MAX, flag, number, optional_text, parse, secret, text, texts
from ottla.connect.worker.protocol import Protocol
from ottla.http.memory import BODIES_MAX_BYTES

_SHORT_MAX: Final = 32_767

_OVERRIDE_ALL: Final = "org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy"
_UNSERVED: Final[Mapping[str, tuple[str, ...]]] = {
    "connector_client_config_override_policy": ("all", _OVERRIDE_ALL.lower()),
    "response_http_headers_config": ("",),
    "access_control_allow_origin": ("",),
    "access_control_allow_methods": ("",),
    "admin_listeners": ("",),
}
"""Settings of Kafka's that would change who may do what, and the values that are as if they were not given"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Of both kinds of workers; `group.id` and the topics are for distributed ones."""

    bootstrap_servers: tuple[str, ...] = texts()
    client_id: str = text("")
    key_converter: str = text("org.apache.kafka.connect.json.JsonConverter")
    value_converter: str = text("org.apache.kafka.connect.json.JsonConverter")
    header_converter: str = text("org.apache.kafka.connect.storage.SimpleHeaderConverter")
    task_shutdown_graceful_timeout_ms: int = number(5_000, high=LONG_MAX)
    offset_flush_interval_ms: int = number(60_000, low=1, high=LONG_MAX)
    offset_flush_timeout_ms: int = number(5_000, low=1, high=LONG_MAX)
    topic_creation_enable: bool = flag(True)
    topic_tracking_enable: bool = flag(True)
    topic_tracking_allow_reset: bool = flag(True)
    connector_client_config_override_policy: str = text("All")
    config_providers: tuple[str, ...] = texts()

    offset_storage_file_filename: str | None = optional_text()
    """Where a standalone worker keeps the offsets of sources"""

    group_id: str | None = optional_text()
    session_timeout_ms: int = number(10_000, low=1)
    heartbeat_interval_ms: int = number(3_000, low=1)
    rebalance_timeout_ms: int = number(60_000, low=1)
    worker_sync_timeout_ms: int = number(3_000, low=1)
    worker_unsync_backoff_ms: int = number(300_000)
    config_storage_topic: str | None = optional_text()
    config_storage_replication_factor: int = number(3, low=-1, high=_SHORT_MAX)
    offset_storage_topic: str | None = optional_text()
    offset_storage_partitions: int = number(25, low=-1)
    offset_storage_replication_factor: int = number(3, low=-1, high=_SHORT_MAX)
    status_storage_topic: str | None = optional_text()
    status_storage_partitions: int = number(5, low=-1)
    status_storage_replication_factor: int = number(3, low=-1, high=_SHORT_MAX)
    connect_protocol: str = text(
        "sessioned", choices=[each.name.lower() for each in Protocol], fold=str.lower
    )
    scheduled_rebalance_max_delay_ms: int = number(300_000)
    inter_worker_key_generation_algorithm: str = text("HmacSHA256")
    inter_worker_key_size: int = number(None, low=8)
    """In bits; 256 without"""
    inter_worker_key_ttl_ms: int = number(3_600_000)
    inter_worker_signature_algorithm: str = text("HmacSHA256")
    inter_worker_verification_algorithms: tuple[str, ...] = texts(("HmacSHA256",))
    exactly_once_source_support: str = text(
        "disabled", choices=("disabled", "preparing", "enabled"), fold=str.lower
    )

    listeners: tuple[str, ...] = texts()
    rest_advertised_host_name: str | None = optional_text()
    rest_advertised_port: int = number(0, high=65_535)
    """0: that of the listener"""
    rest_advertised_listener: str | None = optional_text()
    response_http_headers_config: str = text("")
    access_control_allow_origin: str = text("")
    access_control_allow_methods: str = text("")
    admin_listeners: str = text("")
    ssl_certificate_location: str | None = optional_text()
    """With it and a https listener the REST face is HTTPS"""
    ssl_key_location: str | None = optional_text()
    ssl_key_password: str | None = secret()
    ssl_ca_location: str | None = optional_text()
    ssl_client_auth: str = text("none", choices=("none", "requested", "required"), fold=str.lower)
    authentication_users_file: str | None = optional_text()
    """Who may ask: lines `NAME:HASH`; anybody without one"""

    ottla_connect_logs_dir: str | None = optional_text()
    """A folder for a log of each connector, beside the worker's"""
    ottla_connect_environments_dir: str | None = optional_text()
    """Where the virtual environments of others' programs are; ~/.local/share/ottla/connect without one"""
    ottla_connect_environments_install: bool = flag(True)
    """Whether what a connector needs of the catalogue is installed when it starts"""
    ottla_connect_restart_max: int = number(0)
    """How often a task that failed is restarted by itself before it stays so"""
    ottla_connect_restart_backoff_ms: int = number(10_000)
    """Before the first of these; each next one waits twice as long"""
    ottla_connect_rest_timeout_ms: int = number(90_000, low=1)
    ottla_connect_request_max_bytes: int = number(4 * 1024 * 1024, low=1024)
    ottla_connect_request_memory_max_bytes: int = number(BODIES_MAX_BYTES, low=1024)
    """Of the bodies of all requests that are under way"""
    ottla_connect_connections_max: int = number(1_000, low=1)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if (
                field.name in _UNSERVED
                and str(getattr(self, field.name)).lower() not in _UNSERVED[field.name]
            ):
                name = field.name.replace("_", ".")
                raise ConfigurationError(f"{name}: Ottla's workers serve its default alone")
        if self.authentication_users_file is not None and self.group_id is not None and (
            self.connect_protocol != "sessioned"
        ):  # fmt: skip
            raise ConfigurationError(
                "authentication.users.file needs connect.protocol=sessioned: workers sign what they ask each "
                "other"
            )
        if self.group_id is not None and self.heartbeat_interval_ms >= self.session_timeout_ms:
            raise ConfigurationError("heartbeat.interval.ms must be less than session.timeout.ms")


@dataclasses.dataclass(frozen=True)
class WorkerConfig:
    """The settings, and all that was given: what is for clients and converters stands there under its "
    "names."""

    settings: WorkerSettings
    given: Mapping[str, str]

    @property
    def protocol(self) -> Protocol:
        return Protocol[self.settings.connect_protocol.upper()]

    @property
    def exactly_once(self) -> bool:
        return self.settings.exactly_once_source_support == "enabled"

    @property
    def has_transactional_leader(self) -> bool:
        """Whether the leader writes configs in transactions, so that a former one is fenced."""
        return self.settings.exactly_once_source_support != "disabled"

    @property
    def converters(self) -> dict[str, str]:
        """Those of the worker with their settings, for connectors that name none."""
        settings = self.settings
        named = {
            "key.converter": settings.key_converter,
            "value.converter": settings.value_converter,
            "header.converter": settings.header_converter,
        }
        own = {
            name: value
            for name, value in self.given.items()
            if name.startswith(tuple(f"{each}." for each in named))
        }
        return named | own


_DISTRIBUTED: Final = ("group.id", "config.storage.topic", "offset.storage.topic", "status.storage.topic")
_BOTH: Final = ("bootstrap.servers", "key.converter", "value.converter")


def worker_config(given: Mapping[str, str], *, is_distributed: bool) -> WorkerConfig:
    """ConfigurationError for what lacks or makes no sense; names that are not a worker's are its clients'."""
    needed = [*_BOTH, *(_DISTRIBUTED if is_distributed else ("offset.storage.file.filename",))]
    for name in needed:
        if not given.get(name):
            raise ConfigurationError(f'Missing required configuration "{name}" which has no default value.')
    known = {field.name.replace("_", ".") for field in dataclasses.fields(WorkerSettings)}
    own = {name: value for name, value in given.items() if name in known and value != ""}
    return WorkerConfig(parse(WorkerSettings, own), MappingProxyType(dict(given)))
