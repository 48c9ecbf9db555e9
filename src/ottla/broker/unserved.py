"""The users of a node that does not run: the first one has to be there before a listener asks who comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ottla.broker.etcd import etcd_store
from ottla.broker.host import this_host
from ottla.broker.membership import open_alone
from ottla.broker.process import Options, load_broker_settings
from ottla.config.broker import BrokerConfig
from ottla.config.definition import ConfigError
from ottla.controller.access import AccessController
from ottla.controller.commit import Committer
from ottla.controller.features import FeatureController, finalize_newest
from ottla.controller.publisher import Publisher
from ottla.metadata.access import CredentialChange
from ottla.metadata.credentials import ScramUser
from ottla.metadata.features import FeatureUpdate, UpgradeType
from ottla.metadata.model import NEWEST_FEATURES, OTTLA_METADATA_VERSION
from ottla.metadata.transaction import MetadataFormatError
from ottla.protocol.codes import ScramMechanism
from ottla.protocol.errors import KafkaError
from ottla.replica.data_dir import DataDirError
from ottla.replica.data_dirs import DataDirs
from ottla.security.scram import SALT_BYTES, credential, salted_password
from ottla.storage.checkpoints import CorruptCheckpointError, DirectoryLockedError, read_meta_properties
from ottla.storage.fs import OsFileSystem
from ottla.store.interface import OutcomeUnknownError, StoreError

_OPEN_FILES_MAX = 64
_NEWEST = FeatureUpdate(OTTLA_METADATA_VERSION, NEWEST_FEATURES[OTTLA_METADATA_VERSION], UpgradeType.UPGRADE)

R = TypeVar("R")


class UnservedError(Exception):
    """Why the metadata cannot be read or changed, in one line."""


class Where(NamedTuple):
    """Whose metadata is meant, as the options of `ottla serve` say it."""

    data: str | None
    metadata: str | None
    config_file: str | None
    assignments: Sequence[str]


class Password(NamedTuple):
    """A password to be set."""

    text: str
    iterations: int

    def __repr__(self) -> str:
        return "<password>"


def users(where: Where) -> Mapping[ScramUser, int]:
    """All that have a credential, and its iterations. Raises UnservedError."""

    async def read(publisher: Publisher, _access: AccessController) -> Mapping[ScramUser, int]:
        return {user: kept.iterations for user, kept in publisher.image.credentials.items()}

    return _with_metadata(where, read)


def change_user(where: Where, name: str, mechanism: ScramMechanism, password: Password | None) -> str | None:
    """Set a user's credential, or take it away; why it was refused, or None. Raises UnservedError."""

    async def change(_publisher: Publisher, access: AccessController) -> str | None:
        wanted = _change(ScramUser(mechanism, name), password)
        error = (await access.alter_credentials([wanted]))[name]
        return None if error is None else error.message or error.code.name

    return _with_metadata(where, change, writes=True)


def _change(user: ScramUser, password: Password | None) -> CredentialChange:
    if password is None:
        return CredentialChange(user, None)
    salt = this_host().random.randbytes(SALT_BYTES)
    salted = salted_password(user.mechanism, password.text.encode(), salt, password.iterations)
    return CredentialChange(user, credential(user.mechanism, salted, salt, password.iterations))


def _with_metadata(
    where: Where, work: Callable[[Publisher, AccessController], Awaitable[R]], *, writes: bool = False
) -> R:
    try:
        settings = load_broker_settings(
            Options(data=where.data, metadata=where.metadata), where.config_file, where.assignments
        )
        return asyncio.run(_run(settings.config, work, writes=writes))
    except KafkaError as error:
        raise UnservedError(error.message or error.code.name) from error
    except (
        ConfigError,
        CorruptCheckpointError,
        DataDirError,
        DirectoryLockedError,
        MetadataFormatError,
        OutcomeUnknownError,
        StoreError,
        OSError,
    ) as error:
        raise UnservedError(str(error)) from error


async def _run(
    config: BrokerConfig, work: Callable[[Publisher, AccessController], Awaitable[R]], *, writes: bool
) -> R:
    host = this_host()
    folders = DataDirs(OsFileSystem(_OPEN_FILES_MAX), config.log_dirs, config.metadata_log_dir)
    is_alone = config.ottla_metadata_store is None
    store = host.make_store(folders.metadata.path, config) if is_alone else etcd_store(None, config)
    publisher = Publisher(store)
    try:
        if is_alone:
            meta = read_meta_properties(folders.metadata.fs, folders.metadata.path)
            node_id = config.node_id if meta is None else meta.node_id
            await open_alone(node_id, store, folders, host.new_id)
        else:  # whose brokers may run meanwhile
            await store.open()
            await finalize_newest(store)
        await publisher.load()
        publisher.start(())
        committer = Committer(store, publisher)
        if is_alone and writes:  # nobody else has to be able to read it
            await FeatureController(committer).update_features([_NEWEST])
        return await work(publisher, AccessController(committer))
    finally:
        await publisher.stop()
        await store.close()
        folders.release()
