"""Programs in the making."""

from __future__ import annotations

from array import array
from typing import Final

from ottla.client.values.interface import ValuesError
from ottla.client.values.programs.implementation import IMPLEMENTATION, Implementation
from ottla.client.values.programs.ops import Op
from ottla.client.values.programs.plain import Program

__all__ = ["ProgramBuilder"]

_MAX_WORDS: Final = 1 << 20
_MAX_CONSTANTS: Final = 1 << 24  # bytes


class ProgramBuilder:
    """Takes instructions, those that others need first; `texts` are those of FAIL."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._words = array("i")
        self._constants: dict[bytes, int] = {}
        self._size = 0

    def add(self, op: Op, *words: int) -> int:
        """Where the instruction begins."""
        at = len(self._words)
        if at > _MAX_WORDS:
            raise ValuesError("the schema is too large")
        self._words.append(op)
        self._words.extend(words)
        return at

    def fail(self, text: str) -> int:
        self.texts.append(text)
        return self.add(Op.FAIL, len(self.texts) - 1)

    def fill(self, op: int, *words: int) -> None:
        """The last of the instruction's words, which were added as zeros."""
        self._words[op : op + len(words)] = array("i", words)

    def constant(self, data: bytes) -> int:
        if data not in self._constants:
            self._size += len(data)
            if self._size > _MAX_CONSTANTS:
                raise ValuesError("the schema's defaults are too large")
            self._constants[data] = len(self._constants)
        return self._constants[data]

    def program(
        self,
        entry: int,
        layout: bytes,
        slots: int = 0,
        indexes: bytes | None = None,
        implementation: Implementation = IMPLEMENTATION,
    ) -> Program:
        made: Program = implementation.Program(
            self._words.tobytes(), entry, list(self._constants), layout, slots, indexes
        )
        return made
