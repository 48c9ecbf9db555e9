"""Ottla's own admin client against a broker. With OTTLA_TEST_BOOTSTRAP the same against Apache Kafka.

What a broker does not serve (or, as ACLs on a Kafka without an authorizer, was not set up for) is skipped.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from ottla.client.admin.admin import AsyncAdmin
from ottla.client.admin.topics import NewTopic
from ottla.client.net.cluster import Cluster
from ottla.client.settings import ClientSettings

from .looking import described_topic


@pytest.fixture
async def admin(broker: object) -> AsyncIterator[AsyncAdmin]:
    cluster = Cluster(ClientSettings(bootstrap_servers=(broker.bootstrap,)))  # type: ignore[attr-defined]
    await cluster.start()
    yield AsyncAdmin(cluster)
    await cluster.close()


@pytest.fixture
async def topic(admin: AsyncAdmin) -> AsyncIterator[str]:
    """A topic of two partitions."""
    name = f"admin-{uuid.uuid4().hex[:8]}"
    (await admin.topics.create([NewTopic(name, 2, 1)])).check()
    await described_topic(admin, name, 2)
    yield name
    await admin.topics.delete([name])
