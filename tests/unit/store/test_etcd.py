"""What is of etcd alone: addresses, versions, access, its limits, and stores that are not what they were."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import uuid
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest
from tests.etcd_server import EtcdCluster, run_etcd

from ottla.metadata.transaction import Compare, Put
from ottla.store.etcd import SEEN_FILE_NAME
from ottla.store.etcd.address import AddressError, EtcdAddress, parse_address
from ottla.store.etcd.keys import Keys
from ottla.store.etcd.members import Access, Timeouts, UnfitServerError
from ottla.store.etcd.seen import Seen
from ottla.store.etcd.store import EtcdStore
from ottla.store.etcd.versions import why_unfit
from ottla.store.interface import OutcomeUnknownError, StoreError
from ottla.store.worker import BriefThread

from .conftest import transaction

SHORT = Timeouts(attempt_s=0.5, total_s=1.0)


async def opened(endpoints: tuple[str, ...], cluster: str | None = None, **options: object) -> EtcdStore:
    store = EtcdStore(EtcdAddress(endpoints, cluster or uuid.uuid4().hex), **options)
    await store.open()
    return store


def test_addresses() -> None:
    assert parse_address("etcd://a:1,10.0.0.2:2379,[::1]:3,b/prod-1") == (
        ("a:1", "10.0.0.2:2379", "[::1]:3", "b:2379"),
        "prod-1",
    )
    assert parse_address("etcd://a/c/").prefix == "/ottla/c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:1/c",
        "http://a/c",
        "etcd://a",
        "etcd:///c",
        "etcd://a/b/c",
        "etcd://a:0/c",
        "etcd://a:99999/c",
        "etcd://u@a/c",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressError, match="etcd"):
        parse_address(text)


@pytest.mark.parametrize("version", ["3.5.23", "3.5.30", "3.6.5", "3.7.0", "4.0.0", "3.6.5-rc.1"])
def test_servers_that_are_fit(version: str) -> None:
    assert why_unfit(version) is None


@pytest.mark.parametrize("version", ["3.4.23", "3.5.0", "3.5.22", "3.6.4", "2.3.8", "", "new", "3.6"])
def test_servers_that_are_not(version: str) -> None:
    assert why_unfit(version) is not None


def test_keys_stay_with_their_cluster() -> None:
    keys = Keys("/ottla/a")
    assert keys.own(keys.full("/topics/\ud800é")) == "/topics/\ud800é"
    assert keys.bounds("") == (b"/ottla/a/", b"/ottla/a0")
    with pytest.raises(ValueError, match="no key"):
        keys.own(b"/ottla/a0/x")


async def test_clusters_do_not_see_each_other(etcd: EtcdCluster) -> None:
    name = uuid.uuid4().hex
    one, other = await opened(etcd.endpoints, name), await opened(etcd.endpoints, name + "0")
    first = (await one.transaction(transaction(Put("/a", b"1")))).revision
    await other.transaction(transaction(Put("/b", b"2")))
    assert [entry.key for entry in (await one.range("")).entries] == ["/a"]
    async with aclosing(one.watch("", first)) as watch:
        async for revision in watch:
            assert all(event.key == "/a" for event in revision.events)
            if not revision.events:
                break
    await one.close()
    await other.close()


async def test_pages_too_large_for_an_answer_come_in_parts(etcd: EtcdCluster) -> None:
    store = await opened(etcd.endpoints)
    for number in range(40):
        await store.transaction(transaction(Put(f"/{number:02}", bytes(950_000))))
    page = await store.range("")
    assert [entry.key for entry in page.entries] == [f"/{number:02}" for number in range(40)]
    await store.close()


async def test_a_full_etcd_says_so() -> None:
    with run_etcd(1, "--quota-backend-bytes", str(3_000_000)) as cluster:
        store = await opened(cluster.endpoints)
        filling = _fill(store)
        with pytest.raises(StoreError, match="no space left"):
            await filling
        assert (await store.range("/0", limit=1)).entries
        await store.close()


async def _fill(store: EtcdStore) -> None:
    for number in range(50):
        await store.transaction(transaction(Put(f"/{number}", bytes(900_000))))


async def test_a_member_that_is_not_there(etcd: EtcdCluster) -> None:
    """Its neighbour is asked, for changes too: nothing was sent."""
    nobody = "127.0.0.1:1"
    store = await opened((nobody, *etcd.endpoints), timeouts=SHORT)
    assert (await store.transaction(transaction(Put("/a", b"1")))).committed
    await store.close()


async def test_nobody_is_there(caplog: pytest.LogCaptureFixture) -> None:
    store = EtcdStore(EtcdAddress(("127.0.0.1:1",), "c"), timeouts=Timeouts(0.1, 0.1))
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(2.5)
    assert not opening.done()
    opening.cancel()
    assert [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()] == [
        "waiting for the metadata store at 127.0.0.1:1: etcd at 127.0.0.1:1 cannot be reached"
    ]
    await store.close()


async def test_a_silent_member_leaves_the_outcome_unknown() -> None:
    with run_etcd() as cluster:
        store = await opened(cluster.endpoints, timeouts=SHORT)
        cluster.members[0].freeze()
        with pytest.raises(OutcomeUnknownError):
            await store.transaction(transaction(Put("/a", b"1")))
        with pytest.raises(StoreError):
            await store.range("")
        cluster.members[0].thaw()
        assert (await store.range("/b")).entries == []
        await store.close()


async def test_another_store_or_an_older_one_is_refused(etcd: EtcdCluster, tmp_path: Path) -> None:
    path = tmp_path / SEEN_FILE_NAME

    def seen() -> Seen:
        return Seen(path, BriefThread("seen"))

    store = await opened(etcd.endpoints, seen=seen())
    outcome = await store.transaction(transaction(Put("/a", b"1")))
    await store.close()
    known = json.loads(path.read_text())
    assert known["revision"] == outcome.revision

    path.write_text(json.dumps({**known, "revision": outcome.revision + 1000}))
    with pytest.raises(UnfitServerError, match="restored from an older backup"):
        await opened(etcd.endpoints, seen=seen())
    path.write_text(json.dumps({**known, "cluster": "1"}))
    with pytest.raises(UnfitServerError, match="belongs to 1"):
        await opened(etcd.endpoints, seen=seen())
    path.write_text("{")
    await (await opened(etcd.endpoints, seen=seen())).close()


async def test_who_may_only_write_under_its_prefix() -> None:
    with run_etcd() as cluster:
        await _enable_authentication(cluster.endpoints[0])
        mine = Access(user="ottla", password="secret")
        store = await opened(cluster.endpoints, "mine", access=mine, timeouts=SHORT)
        assert (
            await store.transaction(transaction(Put("/a", b"1"), compares=[Compare.absent("/a")]))
        ).committed
        async with aclosing(store.watch("", 1)) as watch:
            assert (await anext(watch)).events
        lease = await store.grant_lease(5000)
        await store.transaction(transaction(Put("/b", b"1", lease)))
        await store.keep_lease_alive(lease)
        await store.revoke_lease(lease)
        assert [entry.key for entry in (await store.range("")).entries] == ["/a"]
        other = EtcdStore(EtcdAddress(cluster.endpoints, "other"), mine, SHORT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.open(), 2.5)
        with pytest.raises(StoreError, match="permission denied"):
            await other.range("")
        wrong = EtcdStore(EtcdAddress(cluster.endpoints, "mine"), Access(user="ottla", password="no"), SHORT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wrong.open(), 2.5)
        for each in (store, other, wrong):
            await each.close()


async def _enable_authentication(endpoint: str) -> None:
    """With a user `ottla` who has all rights under `/ottla/mine`, and no others."""
    channel = grpc.aio.insecure_channel(endpoint)

    async def call(path: str, request: bytes) -> None:
        method = channel.unary_unary(f"/etcdserverpb.Auth/{path}", bytes, bytes)
        await method(request)

    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    for user, password in ((b"root", b"root"), (b"ottla", b"secret")):
        await call("UserAdd", field(1, user) + field(2, password))
        await call("RoleAdd", field(1, user))
        await call("UserGrantRole", field(1, user) + field(2, user))
    both = b"\x08\x02"  # READWRITE
    permission = both + field(2, b"/ottla/mine/") + field(3, b"/ottla/mine0")
    await call("RoleGrantPermission", field(1, b"ottla") + field(2, permission))
    await call("AuthEnable", b"")
    await channel.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
async def test_over_tls_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    ca, ca_key = _certificate(tmp_path, "ca")
    server, server_key = _certificate(tmp_path, "server", ca, ca_key)
    client, client_key = _certificate(tmp_path, "client", ca, ca_key)
    options = ["--cert-file", server, "--key-file", server_key, "--trusted-ca-file", ca, "--client-cert-auth"]
    with run_etcd(1, *map(str, options), tls=True) as cluster:
        mine = Access(True, ca.read_bytes(), client.read_bytes(), client_key.read_bytes())
        store = await opened(cluster.endpoints, access=mine)
        assert (await store.transaction(transaction(Put("/a", b"1")))).committed
        await store.close()
        for access in (Access(), Access(tls=True, ca=ca.read_bytes())):
            stranger = EtcdStore(EtcdAddress(cluster.endpoints, "c"), access, SHORT)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stranger.open(), 2.5)
            await stranger.close()


def _certificate(folder, name, ca=None, ca_key=None):
    """A certificate of the name, and its key; its own authority where none is given."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate]
    if ca is None:
        command += ["-addext", "basicConstraints=critical,CA:TRUE"]
    else:
        command += ["-CA", ca, "-CAkey", ca_key, "-addext", "subjectAltName=IP:127.0.0.1"]
        command += [
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "extendedKeyUsage=serverAuth,clientAuth",
        ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


async def test_a_watch_ends_whenever_it_is_cancelled(etcd: EtcdCluster) -> None:
    """Also in the moment in which something comes."""
    store = await opened(etcd.endpoints)

    async def watch(from_revision: int) -> None:
        while True:
            async with aclosing(store.watch("/", from_revision)) as revisions:
                async for revision in revisions:
                    from_revision = revision.number + 1

    for number in range(60):
        revision = (await store.range("", limit=1)).revision
        watching = asyncio.create_task(watch(revision + 1))
        await asyncio.sleep(0.02)
        writing = asyncio.create_task(store.transaction(transaction(Put("/a", b"%d" % number))))
        for _ in range(number):
            await asyncio.sleep(0)
        if number % 2:
            await writing
        watching.cancel()
        await asyncio.wait([watching], timeout=5)
        assert watching.done()
        await writing
    await store.close()
