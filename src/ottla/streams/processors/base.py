"""What all operators have: the way to their children, and the stores that are theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ottla.streams.processor import Processor, ProcessorContext
from ottla.streams.records import Record
from ottla.streams.task.steps import ProcessorStep

__all__ = ["AnyRecord", "Operator"]

AnyRecord = Record[Any, Any]


class Operator(Processor[Any, Any, Any, Any]):
    """A processor of Ottla's own. Keys and values have types in the DSL; here a record is any record."""

    forward: Callable[[AnyRecord], None]
    step: ProcessorStep

    def init(self, context: ProcessorContext[Any, Any]) -> None:
        assert isinstance(context, ProcessorStep)
        self.step = context
        self.forward = context.forward_all
        self.prepare()

    def prepare(self) -> None:
        """Get stores and the like; the context is there."""

    def store(self, name: str) -> Any:  # the operator made the store and knows what it is
        return self.step.store(name)

    def drop(self) -> None:
        """Count a record that nobody will see any more."""
        self.step.task.record_dropped()
