"""From a pattern's tree to an automaton, and matching with it.

Thompson's construction gives a non-deterministic automaton that is linear in the (unrolled) pattern.
Matching follows all its states at once, as the bits of one integer, so a name costs at most its length
times the number of states, whatever the pattern. Steps that were taken before are kept, bounded, as a
deterministic automaton that grows as it is needed: matching thousands of names mostly looks them up.
"""

from __future__ import annotations

from collections import defaultdict

from ottla.coordination.consumer.regex import charset
from ottla.coordination.consumer.regex.parser import (
    Assertion,
    Chars,
    Choice,
    Node,
    Parser,
    PatternError,
    Position,
    Repeat,
    Sequence,
)

MAX_STATES = 2_000
_MAX_NODES = 20_000  # unrolled; empty ones make no state
_MAX_CACHED_STEPS = 5_000

_BIT = {position: 1 << number for number, position in enumerate(Position)}


class _Program:
    """States by number.

    A state reads a character of `readers` and leads to the next number, or leads on without reading:
    to `jumps`, or to the next number where `asserts` holds. The number after the last accepts.
    """

    def __init__(self, tree: Node) -> None:
        self.readers: defaultdict[int, int] = defaultdict(int)  # character code -> states that read it
        self.jumps: dict[int, int] = {}  # state -> states
        self.asserts: dict[int, int] = {}  # state -> bit of its position
        self.size = 0
        self._nodes = 0
        self._add(tree)
        self.forks = sum(1 << state for state in (*self.jumps, *self.asserts))
        self.accepting = 1 << self.size

    def _state(self) -> int:
        if self.size >= MAX_STATES:
            raise PatternError("expression too large")
        self.size += 1
        return self.size - 1

    def _add(self, node: Node) -> None:
        """Append the states of `node`: entered at the first, left at the number after the last."""
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise PatternError("expression too large")
        match node:
            case Chars(bits):
                state = 1 << self._state()
                for code in charset.codes(bits):
                    self.readers[code] |= state
            case Assertion(position):
                self.asserts[self._state()] = _BIT[position]
            case Sequence(items):
                for item in items:
                    self._add(item)
            case Choice(items):
                self._add_choice(items)
            case Repeat(item, low, high):
                for _ in range(low):
                    self._add(item)
                if high is None:
                    self._add_loop(item)
                else:
                    self._add_optional(item, high - low)

    def _add_choice(self, items: tuple[Node, ...]) -> None:
        fork = self._state()
        self.jumps[fork] = 0
        exits = []
        for item in items:
            self.jumps[fork] |= 1 << self.size
            self._add(item)
            exits.append(self._state())
        self.jumps.update(dict.fromkeys(exits, 1 << self.size))

    def _add_loop(self, item: Node) -> None:
        fork = self._state()
        self._add(item)
        self.jumps[self._state()] = 1 << fork
        self.jumps[fork] = 1 << (fork + 1) | 1 << self.size

    def _add_optional(self, item: Node, times: int) -> None:
        forks = []
        for _ in range(times):
            forks.append(self._state())
            self._add(item)
        for fork in forks:
            self.jumps[fork] = 1 << (fork + 1) | 1 << self.size


class TopicPattern:
    """A compiled pattern. The cache behind `matches` cannot be observed."""

    __slots__ = ("_program", "_steps", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._program = _Program(Parser(pattern).parse())
        self._steps: dict[tuple[int, int, str], int] = {}

    def matches(self, topic: str) -> bool:
        """Whether the whole name matches."""
        program = self._program
        states = 1
        for at, character in enumerate(topic):
            states = self._step(states, _context(topic, at) if program.asserts else 0, character)
            if not states:
                return False
        return bool(self._closure(states, _context(topic, len(topic))) & program.accepting)

    def _step(self, states: int, context: int, character: str) -> int:
        key = (states, context, character)
        following = self._steps.get(key)
        if following is None:
            readers = self._program.readers.get(ord(character), 0)
            following = (self._closure(states, context) & readers) << 1
            if len(self._steps) >= _MAX_CACHED_STEPS:
                self._steps.clear()
            self._steps[key] = following
        return following

    def _closure(self, states: int, context: int) -> int:
        """The states together with those that are reached from them without reading."""
        program = self._program
        reached = states
        pending = states & program.forks
        while pending:
            bit = pending & -pending
            state = bit.bit_length() - 1
            targets = program.jumps.get(state, 0)
            if program.asserts.get(state, 0) & context:
                targets |= bit << 1
            pending = (pending ^ bit) | (targets & ~reached & program.forks)
            reached |= targets
        return reached


def _context(topic: str, at: int) -> int:
    """What holds between the characters `at - 1` and `at`, as bits of `Position`."""
    before = at > 0 and charset.is_word(topic[at - 1])
    after = at < len(topic) and charset.is_word(topic[at])
    bits = _BIT[Position.WORD_BOUNDARY if before != after else Position.NOT_WORD_BOUNDARY]
    if at == 0:
        bits |= _BIT[Position.START]
    if at == len(topic):
        bits |= _BIT[Position.END]
    return bits


def compile_pattern(pattern: str) -> TopicPattern:
    """Compile a pattern of RE2's syntax; raises PatternError for what RE2 refuses or a bound forbids."""
    return TopicPattern(pattern)
