"""Who a client's certificate names: its subject as Java writes it, and `ssl.principal.mapping.rules`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple


class CertificateError(ValueError):
    """A certificate's subject cannot be read, or no rule takes it."""


_KEYWORDS: Final = {
    "2.5.4.3": "CN",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.6": "C",
    "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}
"""Of RFC 2253; other types are written by their numbers, and their values as they are coded"""
_ENCODINGS: Final = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1B: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
"""Of DER's kinds of strings"""
_ESCAPED: Final = re.compile(r'[,=+<>#;"\\]')


class _Element(NamedTuple):
    """Of DER: its tag, the place of its content, and where it ends."""

    tag: int
    start: int
    end: int


def subject_name(certificate: bytes) -> str:
    """Of a certificate in DER, as Java's `X500Principal.getName()`. Raises CertificateError."""
    try:
        (whole,) = _elements(certificate, 0, len(certificate))
        to_be_signed = next(_elements(certificate, whole.start, whole.end))
        fields = list(_elements(certificate, to_be_signed.start, to_be_signed.end))
        subject = fields[5 if fields[0].tag == 0xA0 else 4]  # behind an explicit version, if there is one
        names = [
            "+".join(_attributes(certificate, each))
            for each in _elements(certificate, subject.start, subject.end)
        ]
    except (ValueError, IndexError, StopIteration) as error:
        raise CertificateError("the subject of the certificate cannot be read") from error
    return ",".join(reversed(names))


def _elements(data: bytes, start: int, end: int) -> Iterator[_Element]:
    while start < end:
        tag, length = data[start], data[start + 1]
        start += 2
        if length & 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 4:
                raise ValueError("a length of DER")
            length = int.from_bytes(data[start : start + octets], "big")
            start += octets
        if start + length > end:
            raise ValueError("an element of DER is cut off")
        yield _Element(tag, start, start + length)
        start += length


def _attributes(data: bytes, relative: _Element) -> Iterator[str]:
    for pair in _elements(data, relative.start, relative.end):
        kind, value = _elements(data, pair.start, pair.end)
        number = _object_identifier(data[kind.start : kind.end])
        keyword = _KEYWORDS.get(number)
        encoding = _ENCODINGS.get(value.tag)
        if keyword is None or encoding is None:
            header = _header_bytes(value)
            yield f"{keyword or number}=#{data[value.start - header : value.end].hex()}"
        else:
            yield f"{keyword}={_escaped(data[value.start : value.end].decode(encoding))}"


def _header_bytes(element: _Element) -> int:
    """Of its tag and length."""
    length = element.end - element.start
    return 2 if length < 0x80 else 2 + (length.bit_length() + 7) // 8


def _object_identifier(content: bytes) -> str:
    numbers: list[int] = []
    number = 0
    for octet in content:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _escaped(text: str) -> str:
    text = _ESCAPED.sub(r"\\\g<0>", text).replace("\0", "\\00")
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - before - len(inner)
    return "\\ " * before + inner + "\\ " * after


_PART: Final = r"(?:\\.|[^\\/])*"
_RULE: Final = re.compile(
    rf"(?P<default>DEFAULT)|RULE:(?P<pattern>{_PART})/(?P<replacement>{_PART})/(?P<case>[LU]?)"
)
_REFERENCE: Final = re.compile(r"\\(?P<literal>.)|\$(?P<number>\d+)")


class _Rule(NamedTuple):
    pattern: re.Pattern[str] | None
    """None for DEFAULT"""
    replacement: str
    case: str

    def apply(self, name: str) -> str | None:
        if self.pattern is None:
            return name
        matched = self.pattern.fullmatch(name)
        if matched is None:
            return None
        found = _REFERENCE.sub(lambda reference: _referred(reference, matched), self.replacement)
        return found.lower() if self.case == "L" else found.upper() if self.case == "U" else found


def _referred(reference: re.Match[str], matched: re.Match[str]) -> str:
    """What `$1` stands for; a number without a group of it stands for itself, but for its leading digits."""
    if reference["literal"] is not None:
        return reference["literal"]
    digits = reference["number"]
    for length in range(len(digits), 0, -1):
        group = int(digits[:length])
        if group <= (matched.re.groups):
            return (matched[group] or "") + digits[length:]
    return reference[0]


class PrincipalRules:
    """`ssl.principal.mapping.rules`: the first that fits says who it is."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for what is no list of rules."""
        self._rules = list(_rules(text))

    def name(self, subject: str) -> str:
        """Raises CertificateError where no rule fits."""
        for rule in self._rules:
            name = rule.apply(subject)
            if name is not None:
                return name
        raise CertificateError(f"no rule of ssl.principal.mapping.rules takes {subject!r}")


def _rules(text: str) -> Iterator[_Rule]:
    position = 0
    text = text.strip()
    while position < len(text):
        matched = _RULE.match(text, position)
        rest = text[matched.end() if matched else position :].lstrip()
        if matched is None or (rest and not rest.startswith(",")):
            raise ValueError(f"Invalid rule: {text[position:].split(',')[0]}")
        position = len(text) - len(rest.removeprefix(",").lstrip())
        if matched["default"]:
            yield _Rule(None, "", "")
        else:
            try:
                pattern = re.compile(matched["pattern"])
            except re.error as error:
                raise ValueError(f"Invalid pattern {matched['pattern']}: {error}") from None
            yield _Rule(pattern, matched["replacement"], matched["case"])
