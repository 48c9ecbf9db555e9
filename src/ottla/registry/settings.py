"""Settings of the registry: Confluent's names where it has them, `ottla.registry.*` for what is our own."""

from __future__ import annotations

import dataclasses

from ottla.client.errors import ConfigurationError
from ottla.client.settings import LONG_MAX, flag, number, optional_text, secret, text, texts
from ottla.http.memory import BODIES_MAX_BYTES
from ottla.schemas.compatibility import CompatibilityLevel


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegistrySettings:
    """How one instance works. Those of the topic, the group and the default level must be the same for all
    instances.
    """

    kafkastore_topic: str = text("_schemas")
    kafkastore_topic_replication_factor: int = number(3, low=1, high=32_767)
    """Less where there are fewer brokers"""
    kafkastore_timeout_ms: int = number(10_000, low=1, high=LONG_MAX)
    """For a write to be in the log, and for the log to be found"""
    schema_registry_group_id: str = text("schema-registry")
    leader_eligibility: bool = flag(True)
    kafkagroup_session_timeout_ms: int = number(10_000, low=1)
    kafkagroup_heartbeat_interval_ms: int = number(3_000, low=1)
    kafkagroup_rebalance_timeout_ms: int = number(30_000, low=1)
    host_name: str | None = optional_text()
    """Under which other instances reach this one; that of the listener, or this machine's"""
    schema_compatibility_level: str = text(
        "BACKWARD", choices=[each.value for each in CompatibilityLevel], fold=str.upper
    )
    mode_mutability: bool = flag(True)
    schema_search_max_limit: int = number(1_000, low=1)
    """Schemas in one answer"""

    listener_ssl_certificate_location: str | None = optional_text()
    """With it the listener is HTTPS"""
    listener_ssl_key_location: str | None = optional_text()
    listener_ssl_key_password: str | None = secret()
    listener_ssl_ca_location: str | None = optional_text()
    """Who certifies clients, and other instances"""
    ssl_client_authentication: str = text("NONE", choices=("NONE", "REQUESTED", "REQUIRED"), fold=str.upper)
    authentication_users_file: str | None = optional_text()
    authentication_tokens_file: str | None = optional_text()
    oauthbearer_jwks_endpoint_url: str | None = optional_text()
    """Where the keys are that bearer tokens are signed by: http(s): or file:"""
    oauthbearer_expected_issuer: str | None = optional_text()
    oauthbearer_expected_audience: tuple[str, ...] = texts()
    """One of these has to be a token's"""
    oauthbearer_sub_claim_name: str = text("sub")
    """The claim that names who asks"""
    authorization_rules_file: str | None = optional_text()

    ottla_registry_leader_wait_ms: int = number(10_000, high=LONG_MAX)
    """How long a write waits for a leader to be there"""
    ottla_registry_request_max_bytes: int = number(2 * 1024 * 1024, low=1024)
    ottla_registry_request_memory_max_bytes: int = number(BODIES_MAX_BYTES, low=1024)
    """Of the bodies of all requests that are under way"""
    ottla_registry_schema_max_chars: int = number(1024 * 1024, low=16)
    ottla_registry_subject_max_length: int = number(1_024, low=1)
    ottla_registry_references_max: int = number(1_000)
    ottla_registry_subjects_max: int = number(1_000_000, low=1)
    ottla_registry_versions_max: int = number(10_000, low=1)
    """Of one subject"""
    ottla_registry_connections_max: int = number(1_000, low=1)
    ottla_registry_parsed_max_chars: int = number(8 * 1024 * 1024)
    """Of schemas that are kept parsed"""
    ottla_registry_writes_waiting_max: int = number(1_000, low=1)

    def __post_init__(self) -> None:
        if self.kafkagroup_heartbeat_interval_ms >= self.kafkagroup_session_timeout_ms:
            raise ConfigurationError(
                "kafkagroup.heartbeat.interval.ms must be less than kafkagroup.session.timeout.ms"
            )
        if self.ssl_client_authentication != "NONE" and self.listener_ssl_ca_location is None:
            raise ConfigurationError(
                f"ssl.client.authentication={self.ssl_client_authentication} needs listener.ssl.ca.location"
            )
        if self.listener_ssl_certificate_location is None and self.listener_ssl_ca_location is not None:
            raise ConfigurationError(
                "listener.ssl.ca.location is given without listener.ssl.certificate.location"
            )

    @property
    def transactional_id(self) -> str:
        """One for all instances that share a topic: whoever begins to lead fences the others with it."""
        return f"ottla-registry-{self.schema_registry_group_id}-{self.kafkastore_topic}"

    @property
    def is_secure(self) -> bool:
        return self.listener_ssl_certificate_location is not None
