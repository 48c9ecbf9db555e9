"""RE2's syntax, read into a small tree. Recursive descent; nesting and length are bounded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ottla.coordination.consumer.regex import charset

MAX_PATTERN_LENGTH = 4096
MAX_NESTING = 100
MAX_REPEAT = 1000  # RE2's own bound

_REPEAT_OPERATORS = frozenset("*+?{")
_META = frozenset("\\.+*?()|[]{}^$")
_SIMPLE_ESCAPES = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_CLASS_ESCAPES = {"d": charset.DIGIT, "s": charset.SPACE, "w": charset.WORD}


class PatternError(ValueError):
    """The pattern is not one that RE2 takes, or is beyond a bound; the text says which."""


class Position(Enum):
    """A condition on a place between characters."""

    START = "start"
    END = "end"
    WORD_BOUNDARY = "word boundary"
    NOT_WORD_BOUNDARY = "not word boundary"


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of the set."""

    bits: int


@dataclass(frozen=True, slots=True)
class Assertion:
    """No character, but a condition on the place."""

    position: Position


@dataclass(frozen=True, slots=True)
class Sequence:
    """All of them, one after the other; none is the empty pattern."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any one of them."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`item` at least `low` and at most `high` times; None is without end."""

    item: Node
    low: int
    high: int | None


Node = Chars | Assertion | Sequence | Choice | Repeat
EMPTY = Sequence(())


@dataclass(frozen=True, slots=True)
class _Flags:
    ignore_case: bool = False
    dot_matches_newline: bool = False


class Parser:
    """One pattern being read; `parse` answers its tree once.

    Flags are the parser's state: `(?i)` holds until its group ends.
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN_LENGTH:
            raise PatternError(f"longer than {MAX_PATTERN_LENGTH} characters")
        self._text = pattern
        self._at = 0
        self._depth = 0
        self._flags = _Flags()

    def parse(self) -> Node:
        """The tree of the whole pattern; raises PatternError."""
        node = self._choice()
        if self._at < len(self._text):
            raise PatternError("unexpected )")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self, what: str) -> str:
        if self._at >= len(self._text):
            raise PatternError(f"missing {what}")
        self._at += 1
        return self._text[self._at - 1]

    def _skip(self, prefix: str) -> bool:
        if self._text.startswith(prefix, self._at):
            self._at += len(prefix)
            return True
        return False

    def _until(self, end: str, what: str) -> str:
        stop = self._text.find(end, self._at)
        if stop < 0:
            raise PatternError(f"missing closing {end} of {what}")
        text = self._text[self._at : stop]
        self._at = stop + len(end)
        return text

    def _choice(self) -> Node:
        branches = [self._sequence()]
        while self._skip("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while (character := self._peek()) and character not in "|)":
            if self._skip("\\Q"):
                items += self._quoted()
                if self._peek() in _REPEAT_OPERATORS and items:
                    items[-1] = self._repeated(items[-1])
                continue
            items.append(self._repeated(self._atom()))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _quoted(self) -> list[Node]:
        stop = self._text.find("\\E", self._at)
        text = self._text[self._at :] if stop < 0 else self._text[self._at : stop]
        self._at = len(self._text) if stop < 0 else stop + 2
        return [self._literal(ord(character)) for character in text]

    def _repeated(self, node: Node) -> Node:
        bounds = self._repeat_bounds()
        if bounds is None:
            return node
        self._skip("?")  # lazy or greedy: the same names match
        if self._peek() in ("*", "+", "?") or self._repeat_bounds() is not None:
            raise PatternError("invalid nested repetition operator")
        return Repeat(node, *bounds)

    def _repeat_bounds(self) -> tuple[int, int | None] | None:
        for operator, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._skip(operator):
                return bounds
        return self._counted_bounds() if self._peek() == "{" else None

    def _counted_bounds(self) -> tuple[int, int | None] | None:
        stop = self._text.find("}", self._at)
        low_text, comma, high_text = self._text[self._at + 1 : max(stop, self._at + 1)].partition(",")
        if stop < 0 or not _is_number(low_text) or (high_text and not _is_number(high_text)):
            return None  # RE2 reads a brace that is no repetition as itself
        low = int(low_text)
        high = low if not comma else int(high_text) if high_text else None
        if max(low, high or 0) > MAX_REPEAT or (high is not None and high < low):
            raise PatternError("invalid repeat count")
        self._at = stop + 1
        return low, high

    def _atom(self) -> Node:
        character = self._next("expression")
        match character:
            case "(":
                return self._group()
            case "[":
                return Chars(self._class())
            case ".":
                newline = charset.NONE if self._flags.dot_matches_newline else charset.NEWLINE
                return Chars(charset.complement(newline))
            case "^":
                return Assertion(Position.START)
            case "$":
                return Assertion(Position.END)
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise PatternError(f"missing argument to repetition operator {character}")
            case "{" if self._is_repeat_at(self._at - 1):
                raise PatternError("missing argument to repetition operator {")
        return self._literal(ord(character))

    def _is_repeat_at(self, start: int) -> bool:
        here, self._at = self._at, start
        is_repeat = self._counted_bounds() is not None
        self._at = here
        return is_repeat

    def _literal(self, code: int) -> Chars:
        bits = charset.span(code, code)
        return Chars(charset.fold_case(bits) if self._flags.ignore_case else bits)

    def _group(self) -> Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise PatternError(f"nested deeper than {MAX_NESTING}")
        outer = self._flags
        if self._skip("?"):
            if self._skip("P<") or self._skip("<"):
                name = self._until(">", "group name")
                if not name.isascii() or not name.replace("_", "a").isalnum():
                    raise PatternError("invalid named capture")
            elif self._set_flags():  # (?i): for the rest of the enclosing group
                self._depth -= 1
                return EMPTY
        node = self._choice()
        if not self._skip(")"):
            raise PatternError("missing closing )")
        self._depth -= 1
        self._flags = outer
        return node

    def _set_flags(self) -> bool:
        """Read `flags)` or `flags:`; whether it was the former."""
        values = {"i": self._flags.ignore_case, "s": self._flags.dot_matches_newline}
        values |= {"m": False, "U": False}  # without a newline or a capture these change no answer
        wanted = True
        while (character := self._next("closing )")) not in ":)":
            if character == "-" and wanted:
                wanted = False
            elif character in values:
                values[character] = wanted
            else:
                raise PatternError("invalid or unsupported Perl syntax")
        self._flags = _Flags(values["i"], values["s"])
        return character == ")"

    def _escape(self) -> Node:
        character = self._next("escaped character")
        match character:
            case "A":
                return Assertion(Position.START)
            case "z":
                return Assertion(Position.END)
            case "b":
                return Assertion(Position.WORD_BOUNDARY)
            case "B":
                return Assertion(Position.NOT_WORD_BOUNDARY)
            case "C":
                return Chars(charset.ALL)
        bits = self._class_escape(character)
        return Chars(bits) if bits is not None else self._literal(self._escaped_code(character))

    def _class_escape(self, character: str) -> int | None:
        """The set of a `\\d`-like or `\\p`-like escape, or None."""
        if (bits := _CLASS_ESCAPES.get(character.lower())) is not None:
            return bits if character.islower() else charset.complement(bits)
        if character not in "pP":
            return None
        name = self._next("class name")
        if name == "{":
            name = self._until("}", "class name")
        negated = (character == "P") != name.startswith("^")
        if (bits := charset.unicode_class(name.removeprefix("^"))) is None:
            raise PatternError("invalid character class range")
        if self._flags.ignore_case:
            bits = charset.fold_case(bits)
        return charset.complement(bits) if negated else bits

    def _escaped_code(self, character: str) -> int:
        if character in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[character]
        if character == "x":
            digits = self._until("}", "\\x") if self._skip("{") else self._next("digit") + self._next("digit")
            if not 0 < len(digits) <= 8 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
                raise PatternError("invalid escape sequence")
            return int(digits, 16)
        if character in "01234567":
            octal = character
            while len(octal) < 3 and self._peek() and self._peek() in "01234567":
                octal += self._next("digit")
            if character != "0" and len(octal) == 1:
                raise PatternError("invalid escape sequence")  # a back-reference, which RE2 has not
            return int(octal, 8)
        if character in _META or (character.isascii() and not character.isalnum()):
            return ord(character)
        raise PatternError("invalid escape sequence")

    def _class(self) -> int:
        negated = self._skip("^")
        bits = charset.NONE
        first = True
        while first or self._peek() != "]":
            if self._peek() == "":
                raise PatternError("missing closing ]")
            bits |= self._class_item()
            first = False
        self._at += 1
        if self._flags.ignore_case:
            bits = charset.fold_case(bits)
        return charset.complement(bits) if negated else bits

    def _class_item(self) -> int:
        if self._skip("[:"):
            name = self._until(":]", "character class")
            posix = charset.POSIX.get(name.removeprefix("^"))
            if posix is None:
                raise PatternError("invalid character class range")
            return charset.complement(posix) if name.startswith("^") else posix
        low = self._class_character()
        if not isinstance(low, _Code):
            return low
        if self._peek() != "-" or self._text.startswith("-]", self._at):
            return charset.span(low, low)
        self._at += 1
        high = self._class_character()
        if not isinstance(high, _Code) or high < low:
            raise PatternError("invalid character class range")
        return charset.span(low, high)

    def _class_character(self) -> _Code | int:
        """A character's code, or a set where it is an escaped class."""
        character = self._next("closing ]")
        if character != "\\":
            return _Code(ord(character))
        character = self._next("escaped character")
        bits = self._class_escape(character)
        return bits if bits is not None else _Code(self._escaped_code(character))


class _Code(int):
    """A code point, told apart from a set of characters."""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
