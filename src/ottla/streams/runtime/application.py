"""What the threads of one process have in common."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ottla.streams.columnar.chunks import Chunks
from ottla.streams.errors import StateStoreError
from ottla.streams.queries.routes import Routes
from ottla.streams.runtime.protocol import TaskId
from ottla.streams.runtime.settings import Config
from ottla.streams.runtime.state_directory import StateDirectory, StoreShape
from ottla.streams.state.stack import Kind, StoreEnvironment
from ottla.streams.state.stores import StateStore
from ottla.streams.task.errors import Handlers
from ottla.streams.task.steps import record_timestamp
from ottla.streams.task.task import TaskSettings
from ottla.streams.topology.nodes import SourceNode
from ottla.streams.topology.topology import Topology

_LEAST_IN_COLUMNS: Final = 32
"""Records that are together worth the kernels' calls."""


class Application:
    """One instance of an application: its topology, settings, and state on disk."""

    def __init__(self, topology: Topology, config: Config) -> None:
        """Raises TopologyError and StateStoreError."""
        topology.check()
        settings = config.streams
        self.topology = topology
        self.config = config
        self.directory = StateDirectory(
            Path(settings.state_dir),
            settings.application_id,
            _kind(settings.default_dsl_store),
            settings.ottla_streams_lmdb_map_bytes,
        )
        self.is_paused = False
        self.shall_all_end = False
        """Whether the other instances are to be told to end as well."""
        self.endpoint = settings.application_server
        """Where this instance answers questions; empty where it does not."""
        self.routes = Routes()
        """Who has what, as of the last assignment of any thread."""
        self._reset = str(config.consumer.get("auto.offset.reset", "earliest"))
        self.global_stores: Mapping[str, StateStore] = {}
        self._mutex = threading.Lock()
        self._dormant: dict[TaskId, int] = {}
        try:
            self.changes = self.directory.check_stores(
                {
                    name: StoreShape(builder.meaning, builder.layout, builder.logging)
                    for name, builder in topology.stores.items()
                }
            )
            for task in self.directory.tasks():
                self._dormant[task] = self._sum_on_disk(task)
        except BaseException:
            self.directory.close()
            raise

    @property
    def cache_bytes_for_thread(self) -> int:
        settings = self.config.streams
        return settings.statestore_cache_max_bytes // settings.num_stream_threads

    def now_ms(self) -> int:
        return int(time.time() * 1000)

    def task_settings(self, environment: StoreEnvironment) -> TaskSettings:
        settings = self.config.streams
        return TaskSettings(
            application_id=settings.application_id,
            wall_clock=self.now_ms,
            timestamp_extractor=settings.default_timestamp_extractor or record_timestamp,
            max_task_idle_ms=settings.max_task_idle_ms,
            handlers=self._handlers(),
            environment=environment,
            columnar=_columnar(settings.ottla_streams_columnar_records),
        )

    def dormant_sums(self) -> dict[TaskId, int]:
        """How far the state of tasks is that no thread has."""
        with self._mutex:
            return {task: total for task, total in self._dormant.items() if total}

    def note_dormant(self, task: TaskId, offset_sum: int) -> None:
        """A task was closed with this state."""
        with self._mutex:
            self._dormant[task] = offset_sum

    def source_topics(self) -> list[str]:
        """The topics that are read by name, by their real names."""
        topology = self.topology
        return [
            topology.real_name(topic, self.config.streams.application_id)
            for topic in topology.source_topics()
        ]

    def reset_of(self, topic: str) -> str:
        """Where to begin a partition that has no committed offset: earliest, latest or none."""
        topology = self.topology
        for node in topology.nodes.values():
            if isinstance(node, SourceNode):
                if any(
                    topic == topology.real_name(each, self.config.streams.application_id)
                    for each in node.topics
                    if each in topology.internal_topics
                ):
                    return "earliest"
                if topic in node.topics or node.matches(topic):
                    return node.reset or self._reset
        return self._reset

    def close(self) -> None:
        self.directory.close()

    def _handlers(self) -> Handlers:
        settings = self.config.streams
        return Handlers.chosen(
            settings.deserialization_exception_handler,
            settings.processing_exception_handler,
            settings.production_exception_handler,
            settings.errors_dead_letter_queue_topic_name,
        )

    def _sum_on_disk(self, task: TaskId) -> int:
        """As far as can be told: what cannot be opened is said when the task begins."""
        total = 0
        kinds: tuple[Kind, ...] = ("lmdb", "rocksdb")
        for kind in kinds:
            folder = self.directory.folder / str(task) / kind
            for store in sorted(folder.iterdir()) if folder.is_dir() else ():
                try:
                    opened = self.directory.open_bytes(str(task), store.name, kind)
                    total += opened.committed_offset() or 0
                    opened.close()
                except StateStoreError:
                    return 0
        return total


def _columnar(max_records: int) -> Chunks | None:
    """None: one at a time, which all is where pyarrow is missing."""
    if not max_records or find_spec("pyarrow") is None:
        return None
    return Chunks(max_records, min(_LEAST_IN_COLUMNS, max_records))


def _kind(name: str) -> Kind:
    kinds: dict[str, Kind] = {"lmdb": "lmdb", "rocksdb": "rocksdb", "memory": "memory"}
    return kinds[name]
