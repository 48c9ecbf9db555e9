"""Updates of a table held back: what that adds to the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ottla.streams.dsl.graph import GraphNode, Named, Parameters, ProcessorGraphNode
from ottla.streams.dsl.parts import TableParts
from ottla.streams.dsl.suppliers import TableSupplier
from ottla.streams.errors import TopologyError
from ottla.streams.processors.suppress import (
    Suppress,
    SuppressBufferBuilder,
    SuppressedTable,
    SuppressLimits,
)
from ottla.streams.processors.views import View
from ottla.streams.topology.nodes import AnyProcessor, StoreBuilder, serde_of
from ottla.streams.windows import Duration, milliseconds

__all__ = ["Until", "WhenFull", "suppressed"]

Until = Literal["window_closes", "time_limit"]
WhenFull = Literal["shut_down", "emit_early"]
SUPPRESS = "KTABLE-SUPPRESS-"


class _SuppressSupplier(TableSupplier):
    def __init__(
        self,
        parent: TableParts,
        buffer: SuppressBufferBuilder,
        wait_ms: int,
        limits: SuppressLimits,
        by_window: bool,
    ) -> None:
        self._parent = parent
        self._buffer = buffer
        self._wait_ms = wait_ms
        self._limits = limits
        self._by_window = by_window
        parent.enable_old(force=True)

    def __call__(self) -> AnyProcessor:
        return Suppress(self._buffer.name, self._wait_ms, self._limits, by_window=self._by_window)

    def stores(self) -> Sequence[StoreBuilder]:
        return (self._buffer,)

    def enable_old(self, *, force: bool) -> bool:
        return self._parent.enable_old(force=force)

    def view(self) -> View:
        parent = self._parent.view()
        name = self._buffer.name
        return View((name, *parent.stores), lambda: SuppressedTable(name, parent.make()))


def suppressed(
    t: TableParts,
    until: Until,
    after: Duration | None,
    max_records: int | None,
    max_bytes: int | None,
    when_full: WhenFull | None,
    name: str | None,
) -> TableParts:
    graph = t.graph
    by_window = until == "window_closes"
    if until not in ("window_closes", "time_limit"):
        raise TopologyError(f"suppress goes until='window_closes' or 'time_limit', not {until!r}")
    if by_window is not (after is None):
        raise TopologyError("suppress(until='time_limit') says after which time; 'window_closes' does not")
    if when_full not in (None, "shut_down", "emit_early"):
        raise TopologyError(f"suppress ends in when_full='shut_down' or 'emit_early', not {when_full!r}")
    if by_window and when_full == "emit_early":
        raise TopologyError(
            "What is told when a window has closed cannot be told early: when_full='shut_down'"
        )
    emit_early = not by_window and when_full != "shut_down"
    named = Named(name, graph)
    name = named.name or graph.new_name(SUPPRESS)
    wait_ms = _grace(t.node, ()) if after is None else milliseconds(after, "after")
    store_name = f"{named.name}-store" if named.name is not None else graph.new_store_name(SUPPRESS)
    key = serde_of(t.key, graph.default_key, name, "key")
    value = serde_of(t.value, graph.default_value, name, "value")
    buffer = SuppressBufferBuilder(store_name, key, value)
    supplier = _SuppressSupplier(
        t, buffer, wait_ms, SuppressLimits(max_records, max_bytes, emit_early), by_window
    )
    node = ProcessorGraphNode(Parameters(name, supplier, supplier.stores))
    node.takes_versioned = False
    node.output_versioned = False
    graph.add(t.node, node)
    return TableParts(name, t.key, t.value, t.sources, supplier, node, graph)


def _grace(node: GraphNode, below: tuple[str, ...]) -> int:
    """The longest that a window above is waited for. Raises TopologyError where there is none."""
    if node.grace_ms is not None:
        return node.grace_ms
    path = (node.name, *below)
    if not node.parents or node.name == "root":
        raise TopologyError(
            f"suppress(until='window_closes') goes with windows; there are none above {' -> '.join(path[1:])}"
        )
    return max(_grace(parent, path) for parent in node.parents)
