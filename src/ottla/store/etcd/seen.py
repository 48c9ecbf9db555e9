"""How far this broker has seen its store, kept beside its data.

Broker epochs are revisions. A store that was restored from a backup gives the same ones again, to others, and
what was acknowledged since is not in it: so it is refused until people have decided what is to hold.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 10.0
"""So much at most of what was seen is forgotten by a crash."""


class Seen:
    """The store's id and newest revision. Written now and then, and at the end, by `worker`."""

    def __init__(self, path: Path, worker: Executor) -> None:
        self._path = path
        self._worker = worker
        self._cluster_id = 0
        self._revision = 0
        self._written = 0
        self._writing: asyncio.Task[None] | None = None

    async def why_not_the_same(self, cluster_id: int, revision: int) -> str | None:
        """What speaks against a store that this broker finds; None where nothing does. Reads the file."""
        known = await asyncio.get_running_loop().run_in_executor(self._worker, self._read)
        reason = None if known is None else self._difference(*known, cluster_id, revision)
        if reason is not None:
            return f"{reason} If that is on purpose, remove {self._path} on every broker."
        self.saw(cluster_id, revision)
        await self._write()
        return None

    @staticmethod
    def _difference(known_id: int, known_revision: int, cluster_id: int, revision: int) -> str | None:
        if known_id != cluster_id:
            return f"it is etcd cluster {cluster_id:x}, and this broker's data belongs to {known_id:x}."
        if revision < known_revision:
            return (
                f"it is at revision {revision}, and this broker has seen {known_revision}: "
                "it was restored from an older backup."
            )
        return None

    def saw(self, cluster_id: int, revision: int) -> None:
        """The store has said so in an answer that is not out of date."""
        self._cluster_id = cluster_id
        self._revision = max(self._revision, revision)

    def begin(self) -> None:
        self._writing = asyncio.create_task(self._keep_written(), name="ottla-metadata-seen")

    async def end(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
            await self._write()
        self._worker.shutdown()

    async def _keep_written(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self._write()

    def _read(self) -> tuple[int, int] | None:
        try:
            document = json.loads(self._path.read_bytes())
            return int(document["cluster"], 16), int(document["revision"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("cannot read %s, and take the store as it is: %s", self._path, error)
            return None

    async def _write(self) -> None:
        if self._revision != self._written:
            await asyncio.get_running_loop().run_in_executor(self._worker, self._replace, self._revision)

    def _replace(self, revision: int) -> None:
        aside = self._path.with_suffix(".tmp")
        try:
            with aside.open("w") as file:
                json.dump({"cluster": f"{self._cluster_id:x}", "revision": revision}, file)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._path)
        except OSError as error:
            log.warning("cannot write %s: %s", self._path, error)
        else:
            self._written = revision
