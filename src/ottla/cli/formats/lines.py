"""Input in lines, or in whatever else ends with a delimiter."""

from __future__ import annotations

from ottla.cli.formats.interface import HOW_TO_SEND_MORE, InputError


class Blocks:
    """Cuts what comes in into blocks of whole lines. What follows the last delimiter is a line if it is not
    empty. No more than `max_bytes` of a line and what was fed last are held; InputError where a line goes on
    after that.
    """

    def __init__(self, max_bytes: int, delimiter: bytes = b"\n") -> None:
        self.delimiter = delimiter
        self.next_line = 1
        """The number of the first line of the next block; whoever takes a block moves it on."""
        self._max_bytes = max_bytes
        self._begun: list[bytes] = []
        self._begun_bytes = 0

    def feed(self, data: bytes) -> bytes | memoryview | None:
        """A block without its last delimiter; None where there is no end of a line."""
        if not self._is_in(data):
            self._begun.append(data)
            self._begun_bytes += len(data)
            self._check(self._begun_bytes)
            return None
        whole = b"".join([*self._begun, data]) if self._begun else data
        first, end = whole.find(self.delimiter), whole.rfind(self.delimiter)
        if self._begun:
            self._check(first)
        if len(self.delimiter) > 1:
            # One that goes over into the next, as two of || do in |||, ends where the first ends.
            end = len(whole) - len(whole.split(self.delimiter)[-1]) - len(self.delimiter)
        rest = whole[end + len(self.delimiter) :]
        self._begun, self._begun_bytes = [rest] if rest else [], len(rest)
        return memoryview(whole)[:end]

    def _is_in(self, data: bytes) -> bool:
        """Whether a delimiter ends in `data`; it may have begun before."""
        wanted, before = len(self.delimiter) - 1, b""
        for part in reversed(self._begun if wanted else ()):
            before = part + before
            if len(before) >= wanted:
                break
        return self.delimiter in (before[-wanted:] + data if before else data)

    def end(self) -> bytes | None:
        """The line that no delimiter ended."""
        last = b"".join(self._begun)
        self._begun, self._begun_bytes = [], 0
        self._check(len(last))
        return last or None

    def lines(self, block: bytes | memoryview) -> list[tuple[int, bytes]]:
        """The lines of a block and their numbers."""
        lines = bytes(block).split(self.delimiter)
        numbered = list(enumerate(lines, self.next_line))
        self.next_line += len(lines)
        return numbered

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise too_long(self.next_line, self._max_bytes)


def too_long(line: int, max_bytes: int) -> InputError:
    return InputError(f"line {line} has more than {max_bytes:,} bytes ({HOW_TO_SEND_MORE})")
