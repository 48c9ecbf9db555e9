"""Transactions against a real coordinator, in both protocols."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.transactions import TransactionAbortedError, TransactionStateError
from ottla.client.errors import BrokerError, ClientError, FencedError
from ottla.client.producer.coordinator import TransactionCoordinator
from ottla.client.producer.producer import AsyncProducer
from ottla.testing import run_broker_async

SETTINGS = {"transaction.state.log.num.partitions": "1"}


@pytest.fixture
async def c() -> AsyncIterator[AsyncClient]:
    async with run_broker_async(SETTINGS) as broker:
        settings = {"retry.backoff.ms": 5, "retry.backoff.max.ms": 50}
        async with AsyncClient(client_settings(broker.bootstrap_servers, settings, {})) as made:
            yield made


@pytest.fixture(params=["first", "second"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first is spoken as by a client that knows no other."""
    if request.param == "first":

        async def speaks_implicit(self: TransactionCoordinator) -> bool:
            return False

        monkeypatch.setattr(TransactionCoordinator, "speaks_implicit", speaks_implicit)
    return str(request.param)


def producer(c: AsyncClient, name: str = "x", **settings: Any) -> AsyncProducer:
    return c.producer(transactional_id=name, retry_backoff_ms=5, retry_backoff_max_ms=50, **settings)


async def read(c: AsyncClient, topic: str, isolation: str = "read_committed") -> list[bytes]:
    """All values up to the end of the log, sorted; waits for what is in a transaction there."""
    async with c.consumer() as anything:
        partitions = await anything.partitions_for(topic)
        ends = await anything.end_offsets(partitions)
    values: list[bytes] = []
    async with (
        asyncio.timeout(20),
        c.consumer(auto_offset_reset="earliest", isolation_level=isolation) as consumer,
    ):
        consumer.assign(partitions)
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                if batch := await consumer.poll(timeout_s=0.1):
                    values += [record.value or b"" for record in batch]
    return sorted(values)


async def test_what_is_committed_is_read(c: AsyncClient, protocol: str) -> None:
    async with producer(c) as made:
        for number in range(5):
            async with made.transaction() as tx:
                await tx.send("t", b"%d" % number)
                await tx.send("u", b"%d" % number)
    assert await read(c, "t") == await read(c, "u") == [b"%d" % number for number in range(5)]


async def test_the_protocol_is_what_was_asked_for(c: AsyncClient, protocol: str) -> None:
    """Only the second has another epoch after each transaction."""
    async with producer(c) as made:
        await made.begin_transaction()
        first = made._core.identity
        await made.send("t", b"v")
        await made.commit_transaction()
        assert (made._core.identity == first) is (protocol == "first")


async def test_what_is_aborted_is_not_read(c: AsyncClient, protocol: str) -> None:
    async with producer(c) as made:
        with contextlib.suppress(ZeroDivisionError):
            async with made.transaction() as tx:
                await (await tx.send("t", b"aborted"))
                raise ZeroDivisionError
        async with made.transaction() as tx:
            await tx.send("t", b"committed")
    assert await read(c, "t") == [b"committed"]
    assert await read(c, "t", "read_uncommitted") == [b"aborted", b"committed"]


async def test_what_was_not_sent_when_it_is_aborted_fails(c: AsyncClient, protocol: str) -> None:
    async with producer(c, linger_ms=60_000, delivery_timeout_ms=120_000) as made:
        await made.begin_transaction()
        sent = await made.send("t", b"v")
        await made.abort_transaction()
        with pytest.raises(TransactionAbortedError):
            await sent


async def test_a_transaction_that_is_aborted_while_it_begins_is_ended(
    c: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partitions that are added after the end would begin another, which nobody ends."""
    add, order = TransactionCoordinator.add_partitions, []

    async def speaks_implicit(self: TransactionCoordinator) -> bool:
        return False

    async def add_slowly(self: TransactionCoordinator, partitions: list[tuple[str, int]]) -> None:
        await asyncio.sleep(0.05)
        await add(self, partitions)
        order.append("added")

    monkeypatch.setattr(TransactionCoordinator, "speaks_implicit", speaks_implicit)
    monkeypatch.setattr(TransactionCoordinator, "add_partitions", add_slowly)
    async with producer(c, linger_ms=0) as made:
        await made.begin_transaction()
        sent = await made.send("t", b"v")
        await asyncio.sleep(0.01)
        await made.abort_transaction()
        order.append("aborted")
        with pytest.raises(TransactionAbortedError):
            await sent
        assert order == ["added", "aborted"]
        async with asyncio.timeout(30):  # the end is answered before its markers are written
            while (state := (await c.admin.transactions.describe(["x"]))["x"].state) == "PrepareAbort":
                await asyncio.sleep(0.05)
        assert state == "CompleteAbort"


async def test_nothing_happens_in_an_empty_transaction(c: AsyncClient, protocol: str) -> None:
    async with producer(c) as made:
        async with made.transaction():
            pass
        await made.begin_transaction()
        await made.abort_transaction()
        async with made.transaction() as tx:
            await tx.send("t", b"v")
    assert await read(c, "t") == [b"v"]


async def test_many_partitions_and_columns_of_batches(c: AsyncClient, protocol: str) -> None:
    from ottla.client.admin.topics import NewTopic
    from ottla.client.columns.columns import Columns, Record

    (await c.admin.topics.create([NewTopic("t", partitions=10)])).check()
    columns = Columns.of(Record("t", 0, 0, -1, 0, b"%d" % number, b"v") for number in range(5000))
    async with producer(c) as made:
        for end in (made.abort_transaction, made.commit_transaction, made.abort_transaction):
            await made.begin_transaction()
            await made.write("t", columns)
            await end()
    assert len(await read(c, "t")) == 5000


async def test_a_new_instance_fences_the_old(c: AsyncClient, protocol: str) -> None:
    async with producer(c) as old:
        await old.begin_transaction()
        await (await old.send("t", b"old"))
        async with producer(c) as new:
            async with new.transaction() as tx:
                await tx.send("t", b"new")
            with pytest.raises(FencedError):
                await old.commit_transaction()
            with pytest.raises(FencedError):
                await old.begin_transaction()
    assert await read(c, "t") == [b"new"]


async def test_a_send_of_a_fenced_instance_fails_its_transaction(c: AsyncClient, protocol: str) -> None:
    async with producer(c) as old:
        await old.begin_transaction()
        async with producer(c):
            sent = await old.send("t", b"old")
            with pytest.raises(ClientError):
                await sent
            with pytest.raises((TransactionStateError, FencedError)):
                await old.commit_transaction()
    assert await read(c, "t", "read_uncommitted") == []


async def test_a_failure_can_only_be_aborted_and_then_it_goes_on(c: AsyncClient, protocol: str) -> None:
    from ottla.client.admin.topics import NewTopic

    (await c.admin.topics.create([NewTopic("t", configs={"max.message.bytes": "500"})])).check()
    async with producer(c) as made:
        await made.begin_transaction()
        good, large = await made.send("t", b"good"), await made.send("t", b"x" * 1000)
        with pytest.raises(BrokerError, match="message_too_large"):
            await large
        await asyncio.wait([asyncio.ensure_future(_outcome(good))])
        with pytest.raises(
            TransactionStateError, match="abort the transaction, which failed: t-0: message_too"
        ):
            await made.send("t", b"more")
        with pytest.raises(TransactionStateError, match="abort the transaction"):
            await made.commit_transaction()
        await made.abort_transaction()
        async with made.transaction() as tx:
            await tx.send("t", b"after")
    assert await read(c, "t") == [b"after"]


async def _outcome(delivery: Any) -> object:
    try:
        return await delivery
    except ClientError as error:
        return error


async def test_leaving_the_block_after_a_failure_aborts(c: AsyncClient, protocol: str) -> None:
    async with producer(c, max_request_size=2000) as made:

        async def send(size: int) -> None:
            async with made.transaction() as tx:
                await tx.send("t", b"small")
                await tx.send("t", b"x" * size)

        with pytest.raises(BrokerError, match="message_too_large"):
            await send(3000)
        await send(3)
    assert await read(c, "t") == [b"small", b"xxx"]


async def test_closing_aborts_what_is_open(c: AsyncClient, protocol: str) -> None:
    async with producer(c) as made:
        await made.begin_transaction()
        await (await made.send("t", b"v"))
    async with producer(c, "y") as other, other.transaction() as tx:
        await tx.send("t", b"other")
    assert await read(c, "t") == [b"other"], "nothing holds up the last stable offset"


@pytest.mark.parametrize("group_protocol", ["classic", "consumer"])
async def test_offsets_go_with_the_transaction(c: AsyncClient, protocol: str, group_protocol: str) -> None:
    """Read, process, write: what is aborted is read again, what is committed is not."""
    settings = {
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "group.protocol": group_protocol,
        "isolation.level": "read_committed",
    }
    async with c.producer() as source:
        for number in range(20):
            await source.send("in", b"%d" % number)
    async with producer(c) as made:
        async with c.consumer(["in"], group="g", settings=settings) as consumer:
            batch = await consumer.poll(max_records=10, timeout_s=20)
            assert batch is not None
            with contextlib.suppress(ZeroDivisionError):
                async with made.transaction() as tx:
                    for record in batch:
                        await tx.send("out", record.value)
                    await tx.send_offsets(batch)
                    raise ZeroDivisionError
            assert await consumer.committed([("in", 0)]) == {("in", 0): None}
            async with made.transaction() as tx:
                for record in batch:
                    await tx.send("out", record.value)
                await tx.send_offsets(batch)
            committed = await consumer.committed([("in", 0)])
            assert committed[TopicPartition("in", 0)].offset == len(batch)  # type: ignore[union-attr]
        done = len(batch)
        async with c.consumer(["in"], group="g", settings=settings) as consumer:
            while done < 20:
                batch = await consumer.poll(timeout_s=20)
                assert batch is not None
                done += len(batch)
                async with made.transaction() as tx:
                    for record in batch:
                        await tx.send("out", record.value)
                    await tx.send_offsets(batch.offsets, consumer.identity())
    assert await read(c, "out") == sorted(b"%d" % number for number in range(20))


async def test_offsets_of_a_member_that_is_gone_fail_the_transaction(c: AsyncClient, protocol: str) -> None:
    async with c.producer() as source:
        await (await source.send("in", b"v"))
    async with producer(c) as made:
        async with c.consumer(
            ["in"], group="g", auto_offset_reset="earliest", enable_auto_commit=False
        ) as consumer:
            batch = await consumer.poll(timeout_s=20)
            assert batch is not None
        await made.begin_transaction()
        with pytest.raises(BrokerError, match="unknown_member_id|illegal_generation"):
            await made.send_offsets(batch)
        with pytest.raises(TransactionStateError, match="abort the transaction"):
            await made.commit_transaction()
        await made.abort_transaction()


async def test_offsets_need_a_group(c: AsyncClient, protocol: str) -> None:
    async with producer(c) as made, made.transaction():
        with pytest.raises(ClientError, match="in none"):
            await made.send_offsets({})


async def test_a_send_that_raised_fails_the_transaction(c: AsyncClient) -> None:
    async with producer(c, max_request_size=1024) as made:
        for lose in (made.send("t", b"x" * 5000), made.write("t", [1])):
            await made.begin_transaction()
            await (await made.send("t", b"v"))
            with pytest.raises((ClientError, TypeError)):
                await lose
            with pytest.raises(TransactionStateError, match="abort the transaction, which failed"):
                await made.commit_transaction()
            await made.abort_transaction()
        await made.begin_transaction()
        await made.send("t", b"good")
        await made.commit_transaction()
    assert await read(c, "t") == [b"good"]


async def test_a_send_that_waited_for_room_is_not_in_the_next_transaction(c: AsyncClient) -> None:
    async with producer(c, linger_ms=60_000, buffer_memory=20_000, batch_size=16_000) as made:
        await made.begin_transaction()
        await made.send("t", b"x" * 15_000)
        late = asyncio.create_task(made.send("t", b"y" * 15_000))
        await asyncio.sleep(0.1)
        assert not late.done()
        await made.abort_transaction()
        await made.begin_transaction()
        with pytest.raises(TransactionStateError):
            await late
        await made.send("t", b"next")
        await made.commit_transaction()
    assert await read(c, "t") == [b"next"]


async def test_a_commit_that_was_called_off_before_it_was_asked_for_can_be_aborted(c: AsyncClient) -> None:
    async with producer(c) as made:
        await made.begin_transaction()
        await made.send("t", b"first")
        commit = asyncio.create_task(made.commit_transaction())
        await asyncio.sleep(0)  # it waits for the record
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        assert made.has_open_transaction
        await made.abort_transaction()
        async with made.transaction() as tx:
            await tx.send("t", b"second")
    assert await read(c, "t") == [b"second"]


async def test_a_commit_that_was_called_off_after_it_was_asked_for_can_only_be_repeated(
    c: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with producer(c) as made:
        await made.begin_transaction()
        await made.send("t", b"first")
        asked, ask = asyncio.Event(), TransactionCoordinator._ask

        async def slow(self: TransactionCoordinator, *args: Any, **more: Any) -> Any:
            asked.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(TransactionCoordinator, "_ask", slow)
        commit = asyncio.create_task(made.commit_transaction())
        await asked.wait()
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        monkeypatch.setattr(TransactionCoordinator, "_ask", ask)
        assert not made.has_open_transaction
        with pytest.raises(TransactionStateError, match="committing"):
            await made.abort_transaction()
        again = asyncio.create_task(made.commit_transaction())
        await asyncio.sleep(0)
        again.cancel()  # of a repeated one the same is true, wherever it was
        with pytest.raises(asyncio.CancelledError):
            await again
        assert not made.has_open_transaction
        await made.commit_transaction()
    assert await read(c, "t") == [b"first"]
