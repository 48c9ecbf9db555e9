"""The metadata store of a broker that is one of several: etcd, as the settings say; for `ottla[cluster]`."""

from __future__ import annotations

from pathlib import Path

from ottla.config.definition import ConfigError
from ottla.config.store import StoreConfig
from ottla.store.etcd import SEEN_FILE_NAME
from ottla.store.etcd.address import AddressError, parse_address
from ottla.store.etcd.seen import Seen
from ottla.store.interface import Store
from ottla.store.worker import BriefThread


def etcd_store(folder: str | None, config: StoreConfig) -> Store:
    """Not opened yet. It keeps in the data folder how far it was seen, if one is given.

    Raises ConfigError for an address, a file or an installation that does not serve.
    """
    assert config.ottla_metadata_store is not None
    try:
        address = parse_address(config.ottla_metadata_store)
    except AddressError as error:
        raise ConfigError(f"ottla.metadata.store: {error}") from error
    try:
        from ottla.store.etcd.members import Access, Timeouts
        from ottla.store.etcd.store import EtcdStore
    except ImportError as error:
        raise ConfigError(
            f"a metadata store in etcd needs what `pip install 'ottla[cluster]'` brings ({error})"
        ) from error
    ca, certificate, key = (
        _read(name, path)
        for name, path in (
            ("ca", config.ottla_metadata_store_tls_ca),
            ("certificate", config.ottla_metadata_store_tls_certificate),
            ("key", config.ottla_metadata_store_tls_key),
        )
    )
    access = Access(
        tls=ca is not None or certificate is not None,
        ca=ca,
        certificate=certificate,
        key=key,
        user=config.ottla_metadata_store_username,
        password=config.ottla_metadata_store_password or "",
    )
    timeouts = Timeouts(
        config.ottla_metadata_store_attempt_timeout_ms / 1000, config.ottla_metadata_store_timeout_ms / 1000
    )
    seen = None if folder is None else Seen(Path(folder, SEEN_FILE_NAME), BriefThread("ottla-store"))
    return EtcdStore(address, access, timeouts, seen=seen)


def _read(name: str, path: str | None) -> bytes | None:
    try:
        return None if path is None else Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"ottla.metadata.store.tls.{name}: cannot read it: {error}") from error
