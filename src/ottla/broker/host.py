"""What a broker takes from the machine it runs on; a simulation hands in its own."""

from __future__ import annotations

import base64
import resource
import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from random import Random, SystemRandom
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

from ottla.clock import Clock
from ottla.config.store import StoreConfig
from ottla.network.server import AddressesOf, Bind
from ottla.network.sockets import addresses_of, bind_tcp, connect_tcp
from ottla.storage.fs import FileSystem, OsFileSystem
from ottla.store.interface import Store
from ottla.store.sqlite import FILE_NAME, SqliteStore
from ottla.store.worker import BriefThread

if TYPE_CHECKING:
    from ottla.network.peers import Connect

_DESCRIPTORS_BESIDE_LOGS = 512


class Host(NamedTuple):
    """Time, chance, threads, disk and network. Only the assembly is given all of it."""

    clock: Clock
    random: Random
    new_uuid: Callable[[], UUID]
    make_executor: Callable[[int, str], Executor]
    """Of so many threads, and their name"""
    open_fs: Callable[[int], FileSystem]
    """Which keeps so many files open at most"""
    make_store: Callable[[str, StoreConfig], Store]
    """Of the metadata: in that data folder, where it is this broker's own"""
    bind: Bind
    connect: Connect
    addresses_of: AddressesOf
    name: Callable[[], str]
    """What other machines may find it by; takes a while"""
    shares_store: bool = False
    """The store is that of a cluster: other brokers use it too, and membership is under leases"""
    boot_id: str = ""
    """The machine has another one each time it is switched on; empty where it cannot be told"""

    def new_id(self) -> str:
        """A random id in Kafka's text form: 22 characters of URL-safe base64."""
        while True:
            text = base64.urlsafe_b64encode(self.new_uuid().bytes).rstrip(b"=").decode()
            if not text.startswith("-"):
                return text


def this_host() -> Host:
    """The operating system's."""
    return Host(
        clock=Clock(),
        random=SystemRandom(),
        new_uuid=uuid4,
        make_executor=ThreadPoolExecutor,
        open_fs=_open_fs,
        make_store=_make_store,
        bind=bind_tcp,
        connect=connect_tcp,
        addresses_of=addresses_of,
        name=socket.getfqdn,
        boot_id=_boot_id(),
    )


def _boot_id() -> str:
    try:
        # Not by pathlib, which loads ten modules that a broker does not need.
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):  # another system than Linux
        return ""


def _open_fs(open_files_max: int) -> FileSystem:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OsFileSystem(max(64, min(open_files_max, limit - _DESCRIPTORS_BESIDE_LOGS)))


def _make_store(folder: str, config: StoreConfig) -> Store:
    if config.ottla_metadata_store is not None:
        from ottla.broker.etcd import etcd_store  # what a broker that is alone does not need

        return etcd_store(folder, config)
    return SqliteStore(f"{folder}/{FILE_NAME}", BriefThread("ottla-store"), _monotonic_ms)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
