"""Users of a node that does not run."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ottla.broker.unserved import Password, Where, change_user, users
from ottla.metadata import model
from ottla.metadata.credentials import ScramUser
from ottla.metadata.transaction import Delete, Transaction
from ottla.protocol.codes import ScramMechanism
from ottla.store.sqlite import FILE_NAME, SqliteStore
from ottla.testing import run_broker

MECHANISM = ScramMechanism.SCRAM_SHA_256


async def forget_levels(folder: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        store = SqliteStore(str(folder / FILE_NAME), executor, lambda: 0)
        await store.open()
        await store.transaction(Transaction(writes=(Delete(model.FEATURES),)))
        await store.close()


def test_a_store_of_an_older_version_takes_its_first_user(tmp_path: Path) -> None:
    with run_broker(data_dir=tmp_path):
        pass
    asyncio.run(forget_levels(tmp_path))
    where = Where(str(tmp_path), None, None, ())
    assert users(where) == {}
    assert change_user(where, "ann", MECHANISM, Password("secret", 4096)) is None
    assert users(where) == {ScramUser(MECHANISM, "ann"): 4096}
