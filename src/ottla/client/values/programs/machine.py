"""What both formats' instructions work on in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ottla.client.values.programs.ops import MAX_DEPTH, Reason
from ottla.client.values.programs.plain_columns import ColumnStore

__all__ = ["BrokenError", "Input", "Machine", "Run"]


class BrokenError(Exception):
    """A value that cannot be decoded."""

    def __init__(self, reason: int, detail: int, *, has_id: bool = True) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.has_id = has_id


@dataclass(slots=True)
class Input:
    """`data` from `at` up to `end`; places are counted from `begin`."""

    data: bytes
    at: int
    end: int
    begin: int

    def place(self) -> int:
        return self.at - self.begin

    def take(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise BrokenError(Reason.ENDS_EARLY, self.place())
        data = self.data[self.at : self.at + size]
        self.at += size
        return data

    def varint(self) -> int:
        """Up to ten bytes."""
        value = 0
        at = self.at
        for shift in range(0, 70, 7):
            if at == self.end:
                raise BrokenError(Reason.ENDS_EARLY, self.place())
            byte = self.data[at]
            at += 1
            if shift == 63 and byte > 1:
                break
            value |= (byte & 127) << shift
            if byte < 128:
                self.at = at
                return value
        raise BrokenError(Reason.BAD_NUMBER, self.place())

    def zigzag(self) -> int:
        number = self.varint()
        return number >> 1 ^ -(number & 1)


@dataclass(slots=True)
class Machine:
    """Runs one value's program: `scalars` and `nested` do what their instructions say."""

    store: ColumnStore
    scalars: Mapping[int, Run]
    nested: Mapping[int, Run]
    words: Sequence[int]
    constants: Sequence[bytes]
    steps: int
    depth: int = 0

    def run(self, data: Input, op: int) -> None:
        """One instruction, and what it is made of."""
        self.step()
        code = self.words[op]
        scalar = self.scalars.get(code)
        if scalar is not None:
            scalar(self, data, op)
            return
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise BrokenError(Reason.TOO_DEEP, 0)
        self.nested[code](self, data, op)
        self.depth -= 1

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise BrokenError(Reason.TOO_MUCH, 0)


Run = Callable[[Machine, Input, int], None]
