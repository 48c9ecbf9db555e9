"""`Store` over an etcd cluster, with the prefix of one Ottla cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Final

from ottla.metadata.transaction import NO_LEASE, Compare, DeletePrefix, KeyValue, Put, Transaction, Write
from ottla.store.etcd import messages_pb2 as pb
from ottla.store.etcd.address import EtcdAddress
from ottla.store.etcd.keys import Keys
from ottla.store.etcd.members import (
    COMPACT,
    LEASE_GRANT,
    LEASE_REVOKE,
    RANGE,
    TXN,
    Access,
    Members,
    Timeouts,
    TooLargeError,
    UnfitServerError,
)
from ottla.store.etcd.seen import Seen
from ottla.store.etcd.watch import Watch, hasten_all
from ottla.store.interface import CompactedError, LeaseNotFoundError, Outcome, Page, Revision, StoreError

log = logging.getLogger(__name__)

_PAGE_ENTRIES: Final = 5_000
_RETRY_S: Final = 1.0


class EtcdStore:
    """A cluster's metadata in etcd. What one broker changes, all of them see.

    Every method raises StoreError when no member answers in time; UnfitServerError for servers that must not
    be used, and for a store whose history went back (see `Seen`).
    """

    def __init__(
        self,
        address: EtcdAddress,
        access: Access = Access(),  # noqa: B008 - immutable
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
        *,
        seen: Seen | None = None,
    ) -> None:
        self._address = address
        self._timeouts = timeouts
        self._keys = Keys(address.prefix)
        self._seen = seen
        self._watches: dict[Watch, None] = {}
        self._members = Members(address.endpoints, access, timeouts)

    async def open(self) -> None:
        """Waits until a member answers, however long that takes, and says so once."""
        is_told = False
        while True:
            try:
                header = (await self._range_page("", None, 1, "")).header
                break
            except UnfitServerError:
                raise
            except StoreError as error:
                if not is_told:
                    log.warning(
                        "waiting for the metadata store at %s: %s", ",".join(self._address.endpoints), error
                    )
                    is_told = True
                await asyncio.sleep(_RETRY_S)
        if self._seen is not None:
            reason = await self._seen.why_not_the_same(header.cluster_id, header.revision)
            if reason is not None:
                raise UnfitServerError(f"the metadata store at {','.join(self._address.endpoints)}: {reason}")
            self._seen.begin()

    async def transaction(self, transaction: Transaction) -> Outcome:
        request = pb.TxnRequest(
            compare=[self._compare(each) for each in transaction.compares],
            success=[self._operation(each) for each in transaction.writes],
        )
        # Whoever goes away leaves a whole change.
        answer = await asyncio.shield(asyncio.ensure_future(self._members.ask_once(TXN, request)))
        assert isinstance(answer, pb.TxnResponse)
        self._saw(answer.header)
        hasten_all(self._watches, answer.header.revision)
        return Outcome(answer.succeeded, answer.header.revision)

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = ""
    ) -> Page:
        entries: list[KeyValue] = []
        while True:
            left = _PAGE_ENTRIES if limit is None else min(_PAGE_ENTRIES, limit - len(entries))
            answer = await self._range_page(prefix, revision, max(left, 1), after)
            if revision is None:
                revision = answer.header.revision
            entries += map(self._entry, answer.kvs)
            if not answer.more or (limit is not None and len(entries) >= limit):
                return Page(revision, entries, answer.more)
            after = entries[-1].key

    async def watch(self, prefix: str, from_revision: int) -> AsyncGenerator[Revision]:
        watch = Watch(self._members, self._keys, prefix, from_revision, self._timeouts.attempt_s)
        self._watches[watch] = None
        try:
            async for revision in watch.revisions():
                yield revision
        finally:
            del self._watches[watch]

    async def grant_lease(self, ttl_ms: int) -> int:
        """In whole seconds, at least what was asked for. One that is granted and not known ends by itself."""
        if ttl_ms <= 0:
            raise ValueError("a lease needs a positive ttl")
        answer = await self._members.ask(LEASE_GRANT, pb.LeaseGrantRequest(ttl=-(-ttl_ms // 1000)))
        assert isinstance(answer, pb.LeaseGrantResponse)
        return answer.id

    async def keep_lease_alive(self, lease_id: int) -> None:
        if await self._members.keep_alive(lease_id) <= 0:
            raise LeaseNotFoundError(f"lease {lease_id} has ended")

    async def revoke_lease(self, lease_id: int) -> None:
        await self._members.ask(LEASE_REVOKE, pb.LeaseRevokeRequest(id=lease_id))

    async def compact(self, revision: int) -> None:
        try:
            await self._members.ask(COMPACT, pb.CompactionRequest(revision=revision))
        except CompactedError:
            pass  # somebody else did

    async def close(self) -> None:
        if self._seen is not None:
            await self._seen.end()
        await self._members.close()

    async def _range_page(
        self, prefix: str, revision: int | None, limit: int, after: str
    ) -> pb.RangeResponse:
        key, end = self._keys.bounds(prefix, after)
        request = pb.RangeRequest(key=key, range_end=end, limit=limit, revision=revision or 0)
        while True:
            try:
                answer = await self._members.ask(RANGE, request)
            except TooLargeError:
                if request.limit == 1:
                    raise
                request.limit //= 2
                continue
            assert isinstance(answer, pb.RangeResponse)
            self._saw(answer.header)
            return answer

    def _saw(self, header: pb.Header) -> None:
        if self._seen is not None:
            self._seen.saw(header.cluster_id, header.revision)

    def _entry(self, found: pb.KeyValue) -> KeyValue:
        key = self._keys.own(found.key)
        return KeyValue(key, found.value, found.create_revision, found.mod_revision, found.lease)

    def _compare(self, compare: Compare) -> pb.Compare:
        return pb.Compare(
            result=pb.Compare.EQUAL,
            target=pb.Compare.MOD,
            key=self._keys.full(compare.key),
            mod_revision=compare.mod_revision,
        )

    def _operation(self, write: Write) -> pb.Operation:
        if isinstance(write, Put):
            lease = 0 if write.lease_id == NO_LEASE else write.lease_id
            key = self._keys.full(write.key)
            return pb.Operation(put=pb.PutRequest(key=key, value=write.value, lease=lease))
        if isinstance(write, DeletePrefix):
            key, end = self._keys.bounds(write.prefix)
            return pb.Operation(delete_range=pb.DeleteRangeRequest(key=key, range_end=end))
        return pb.Operation(delete_range=pb.DeleteRangeRequest(key=self._keys.full(write.key)))
