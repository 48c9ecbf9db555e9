"""Word count as a process, so that it can be killed: arguments are servers, folder of state, guarantee."""

from __future__ import annotations

import sys
import threading
from typing import Any

from ottla.streams.processor import Processor, ProcessorContext
from ottla.streams.records import Record
from ottla.streams.runtime.streams import Streams
from ottla.streams.serdes import Long, Text
from ottla.streams.state.builders import key_value_store
from ottla.streams.topology.nodes import InternalTopic
from ottla.streams.topology.topology import Topology

APPLICATION = "word-count"


class Split(Processor[str, str, str, str]):
    def process(self, record: Record[str, str]) -> None:
        for word in record.value.split():
            self.context.forward(Record(word, word, record.timestamp))


class Count(Processor[str, str, str, int]):
    def init(self, context: ProcessorContext[str, int]) -> None:
        super().init(context)
        self.store: Any = context.store("counts")

    def process(self, record: Record[str, str]) -> None:
        count = (self.store.get(record.key) or 0) + 1
        self.store.put(record.key, count)
        self.context.forward(Record(record.key, count, record.timestamp))


def word_count() -> Topology:
    """Lines to words by a repartition topic to counts, each change of which is written."""
    topology = Topology()
    topology.add_internal_topic(InternalTopic("words-repartition"))
    topology.add_source("lines-source", "lines", key=Text(), value=Text())
    topology.add_processor("split", Split, "lines-source")
    topology.add_sink("words-sink", "words-repartition", "split", key=Text(), value=Text())
    topology.add_source("words-source", "words-repartition", key=Text(), value=Text())
    topology.add_processor("count", Count, "words-source", stores=[key_value_store("counts", Text(), Long())])
    topology.add_sink("counts-sink", "counts", "count", key=Text(), value=Long())
    return topology


def main(servers: str, state_dir: str, guarantee: str) -> None:
    application = Streams(
        word_count(),
        application_id=APPLICATION,
        bootstrap_servers=servers,
        state_dir=state_dir,
        processing_guarantee=guarantee,
        commit_interval_ms=100,
        num_stream_threads=2,
        num_standby_replicas=1,
        session_timeout_ms=1_500,
        heartbeat_interval_ms=300,
        probing_rebalance_interval_ms=2_000,
    )
    with application:
        print("started", flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), application.close()), daemon=True).start()
        application.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
