"""The configurations' store on a broker: whoever leads writes in transactions, one after the other."""

from __future__ import annotations

import asyncio

import pytest

from ottla.client.connecting import AsyncClient
from ottla.client.settings import ClientSettings, parse
from ottla.connect.errors import ConnectError
from ottla.connect.worker.logs import TopicLog
from ottla.connect.worker.stores import ConfigStore
from ottla.testing import InProcessBroker


def _store(client: AsyncClient) -> ConfigStore:
    log = TopicLog(client, "stored", partitions=1, replication_factor=1, configs={}, committed_only=True)
    return ConfigStore(log, (client, "connect-cluster-stored"))


@pytest.mark.timeout(60)
def test_a_leader_writes_at_once_and_claims_again(broker: InProcessBroker) -> None:
    async def test() -> None:
        client = AsyncClient(parse(ClientSettings, {"bootstrap.servers": broker.bootstrap_servers}))
        await client.start()
        first, second = _store(client), _store(client)
        fenced: list[str] = []
        first.on_fenced = lambda: fenced.append("first")
        for store in (first, second):
            await store.start()
        await first.claim()
        await asyncio.gather(*(first.put_connector(f"c{each}", {"name": "c"}, None) for each in range(5)))
        await second.claim()
        with pytest.raises(ConnectError):
            await first.put_connector("late", {"name": "late"}, None)
        assert fenced == ["first"]
        await second.refresh()
        assert [*second.state.connectors] == [f"c{each}" for each in range(5)]
        await first.claim()
        await first.put_connector("again", {"name": "again"}, None)
        assert "again" in first.state.connectors
        for store in (first, second):
            await store.close()
        await client.close()

    asyncio.run(test())
