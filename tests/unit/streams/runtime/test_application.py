"""What the threads of a process have in common."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from ottla.streams.errors import StateStoreError
from ottla.streams.processor import Processor
from ottla.streams.runtime.application import Application
from ottla.streams.runtime.settings import read_config
from ottla.streams.serdes import Long, Text
from ottla.streams.state.builders import (
    key_value_store,
    list_store,
    session_store,
    timestamped_key_value_store,
    versioned_store,
    window_store,
)
from ottla.streams.topology.nodes import StoreBuilder
from ottla.streams.topology.topology import Topology

KINDS = [
    key_value_store("s", Text(), Long()),
    timestamped_key_value_store("s", Text(), Long()),
    list_store("s", Text(), Long()),
    versioned_store("s", Text(), Long(), 10),
    window_store("s", Text(), Long(), retention=10, window_size=10),
    window_store("s", Text(), Long(), retention=10, window_size=10, timestamped=True),
    window_store("s", Text(), Long(), retention=10, window_size=10, time_ordered=True),
    session_store("s", Text(), Long(), retention=10),
    session_store("s", Text(), Long(), retention=10, time_ordered=True),
]


def opened(store: StoreBuilder, base: Path) -> Application:
    topology = Topology(Text(), Text())
    topology.add_source("source", "in")
    topology.add_processor("processor", Processor, "source", stores=[store])
    settings = {"application.id": "app", "bootstrap.servers": "127.0.0.1:1", "state.dir": str(base)}
    return Application(topology, read_config(settings))


def test_state_of_another_kind_is_refused(tmp_path: Path) -> None:
    for number, (before, after) in enumerate(permutations(KINDS, 2)):
        base = tmp_path / str(number)
        opened(before, base).close()
        opened(before, base).close()
        with pytest.raises(StateStoreError, match=f"the store s has {after.meaning} now and had"):
            opened(after, base)
