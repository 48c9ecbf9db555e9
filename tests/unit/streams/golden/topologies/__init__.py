"""The topologies of the scenarios, as the Java files of tests/differential/streams have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ottla.streams import StreamsBuilder

from . import aggregations, expressed, joins, processors, stateless, tables, windows

Build = Callable[[StreamsBuilder], object]

TOPOLOGIES: Mapping[str, Build] = {
    **stateless.TOPOLOGIES,
    **tables.TOPOLOGIES,
    **aggregations.TOPOLOGIES,
    **windows.TOPOLOGIES,
    **joins.TOPOLOGIES,
    **processors.TOPOLOGIES,
}
"""By the name of their scenarios' file."""

EXPRESSED: Mapping[str, Build] = expressed.TOPOLOGIES
"""The same in expressions instead of functions, where they can be told in them."""
