"""A node that was alone becomes the first of a cluster: its metadata goes to etcd, its logs stay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ottla.broker.etcd import etcd_store
from ottla.broker.process import EXIT_FAILURE, EXIT_OK, EXIT_USAGE, Options, load_broker_settings
from ottla.clock import Clock
from ottla.config.broker import BrokerConfig
from ottla.config.definition import ConfigError
from ottla.controller.migration import MigrationError, copy_metadata
from ottla.metadata.transaction import KeyValue, MetadataFormatError
from ottla.replica.data_dir import DataDirError
from ottla.replica.data_dirs import DataDirs
from ottla.storage.checkpoints import CorruptCheckpointError, DirectoryLockedError, read_meta_properties
from ottla.storage.fs import OsFileSystem
from ottla.store.interface import OutcomeUnknownError, StoreError, read_all
from ottla.store.sqlite import FILE_NAME, MIGRATED_FILE_NAME, SqliteStore
from ottla.store.worker import BriefThread

_OPEN_FILES_MAX = 64


def migrate(
    data: str | None, metadata: str | None, config_file: str | None, assignments: Sequence[str]
) -> tuple[int, str]:
    """Copy the metadata of the node in the data folder; returns the exit code, and what to tell the user.

    The options are those of `ottla serve`.
    """
    try:
        config = load_broker_settings(Options(data=data, metadata=metadata), config_file, assignments).config
    except (ConfigError, OSError) as error:
        return EXIT_USAGE, str(error)
    if config.ottla_metadata_store is None:
        return EXIT_USAGE, "name the cluster's store: --metadata etcd://HOST:PORT/CLUSTER"
    folders = DataDirs(OsFileSystem(_OPEN_FILES_MAX), config.log_dirs, config.metadata_log_dir)
    try:
        return EXIT_OK, asyncio.run(_migrate(config, folders))
    except ConfigError as error:
        return EXIT_USAGE, str(error)
    except (
        DataDirError,
        DirectoryLockedError,
        CorruptCheckpointError,
        MetadataFormatError,
        MigrationError,
        OutcomeUnknownError,
        StoreError,
        OSError,
    ) as error:
        return EXIT_FAILURE, str(error)
    finally:
        folders.release()


async def _migrate(config: BrokerConfig, folders: DataDirs) -> str:
    target = etcd_store(None, config)
    node_id, cluster_id = _take(folders)
    home = folders.metadata
    is_set_aside = not home.has(FILE_NAME)  # by an earlier attempt, which came that far
    source = await _read(f"{home.path}/{MIGRATED_FILE_NAME if is_set_aside else FILE_NAME}")

    def give_up_source(epoch: int) -> None:
        if not is_set_aside:
            home.fs.rename(f"{home.path}/{FILE_NAME}", f"{home.path}/{MIGRATED_FILE_NAME}")
            home.fs.sync_dir(home.path)
        if epoch:
            folders.carry_over(epoch)

    try:
        await target.open()
        copied = await copy_metadata(source, target, cluster_id, home.directory_id, give_up_source)
    finally:
        await target.close()
    return (
        f"Copied {copied} keys of node {node_id} to {config.ottla_metadata_store}. "
        f"Serve it with --metadata {config.ottla_metadata_store} from now on, and what it had before."
    )


async def _read(path: str) -> list[KeyValue]:
    store = SqliteStore(path, BriefThread("ottla-store"), Clock().now_ms)
    try:
        await store.open()
        entries = (await read_all(store)).entries
    finally:
        await store.close()
    if Path(f"{path}-wal").exists():  # on a full disk: the file alone has not all of it
        raise StoreError(f"cannot write {path}: is the disk full?")
    return entries


def _take(folders: DataDirs) -> tuple[int, str]:
    """Lock the folders; the ids of the node whose they are, and of its cluster."""
    home = folders.metadata
    if not (home.has(FILE_NAME) or home.has(MIGRATED_FILE_NAME)):
        raise DataDirError(
            f"there is no {FILE_NAME} in {home.path}: no node that was alone has its data there"
        )
    meta = read_meta_properties(home.fs, home.path)
    if meta is None:
        raise DataDirError(f"{home.path} does not say whose data it holds: serve it once before")
    folders.take(meta.node_id, FILE_NAME)
    return meta.node_id, meta.cluster_id
