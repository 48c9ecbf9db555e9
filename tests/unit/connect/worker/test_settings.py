"""A worker's settings: what is not served is refused by its name."""

from __future__ import annotations

import pytest

from ottla.client.errors import ConfigurationError
from ottla.connect.worker.settings import worker_config

GIVEN = {
    "bootstrap.servers": "127.0.0.1:9092",
    "key.converter": "c",
    "value.converter": "c",
    "offset.storage.file.filename": "offsets",
}
DISTRIBUTED = {
    **GIVEN,
    "group.id": "g",
    **{f"{each}.storage.topic": each for each in ("config", "offset", "status")},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connector.client.config.override.policy", "None"),
        ("response.http.headers.config", "set X-Frame-Options: DENY"),
        ("access.control.allow.origin", "*"),
        ("access.control.allow.methods", "GET"),
        ("admin.listeners", "http://127.0.0.1:1"),
    ],
)
def test_what_is_not_served_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        worker_config({**GIVEN, name: value}, is_distributed=False)


def test_defaults_may_be_given() -> None:
    policy = "org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy"
    for value in ("All", policy):
        worker_config({**GIVEN, "connector.client.config.override.policy": value}, is_distributed=False)
    worker_config({**GIVEN, "access.control.allow.origin": ""}, is_distributed=False)


def test_users_need_signed_requests_between_workers() -> None:
    users = {**DISTRIBUTED, "authentication.users.file": "users"}
    worker_config(users, is_distributed=True)
    with pytest.raises(ConfigurationError, match=r"connect\.protocol=sessioned"):
        worker_config({**users, "connect.protocol": "compatible"}, is_distributed=True)
