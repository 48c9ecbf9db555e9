import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli import main as command
from ottla.cli.arguments import HEADER, NAME, PROPERTY, SECONDS, TIME, parse_time, unescape
from ottla.cli.reference import commands

BROKEN = "\udcff"  # how Python hands over the byte ff of an argument


def test_no_command_that_uses_the_client_takes_unchecked_text_or_numbers():
    for context in commands():
        for parameter in context.command.params:
            if context.command_path not in ("ottla serve", "ottla log dump"):
                assert not isinstance(parameter.type, click.types.StringParamType), parameter.opts
                bounded = isinstance(parameter.type, click.IntRange) and parameter.type.max is not None
                # These two are Python's alone.
                unbounded = {"--max-messages", "--shift-by"}
                number = isinstance(parameter.type, click.types.IntParamType)
                assert not number or bounded or unbounded & set(parameter.opts), parameter.opts


@pytest.mark.parametrize(
    "arguments",
    [
        ["topic", "create", BROKEN],
        ["topic", "create", "t", "--config", f"a={BROKEN}"],
        ["topic", "describe", BROKEN],
        ["topic", "alter", "t", "--delete-config", BROKEN],
        ["topic", "delete", BROKEN],
        ["produce", BROKEN],
        ["produce", "t", "--header", f"{BROKEN}=1"],
        ["consume", BROKEN],
        ["consume", "t", "-g", f"a{BROKEN}"],
        ["group", "describe", BROKEN],
        ["group", "delete", BROKEN],
        ["group", "reset-offsets", BROKEN, "--to-latest"],
        ["group", "reset-offsets", "g", "--to-latest", "--topic", BROKEN],
        ["config", "describe", "topic", BROKEN],
        ["config", "set", "topic", "t", f"{BROKEN}=1"],
        ["config", "delete", "topic", "t", BROKEN],
        ["topic", "list", "-b", BROKEN],
        ["topic", "list", "-X", f"client.id={BROKEN}"],
        ["cluster", "describe", "-X", f"{BROKEN}=1"],
    ],
    ids=ascii,
)
def test_text_that_is_not_utf8_is_refused_by_the_name_of_its_option(capsys, arguments):
    assert command.run(arguments) == 2
    assert capsys.readouterr().err.endswith("it is not UTF-8\n")


def converted(kind, text):
    return kind.convert(text, None, None)


def test_properties():
    assert converted(PROPERTY, "a=b=c") == ("a", "b=c")
    assert converted(PROPERTY, " d =") == ("d", "")
    for text in ("a", "=b", " =b"):
        with pytest.raises(click.BadParameter, match="is not name=value"):
            converted(PROPERTY, text)


def test_names():
    assert converted(NAME, "é") == "é"
    with pytest.raises(click.BadParameter, match="it is empty"):
        converted(NAME, "")


def test_headers():
    options = ("a=1", "b=", "c", "d=x=y", f"e={BROKEN}é")
    values = [b"1", b"", None, b"x=y", b"\xff\xc3\xa9"]
    assert [converted(HEADER, option) for option in options] == list(zip("abcde", values, strict=True))


def test_seconds():
    assert [converted(SECONDS, text) for text in ("0", "1.5", "inf")] == [0, 1.5, float("inf")]
    for text in ("nan", "-1", "soon"):
        with pytest.raises(click.BadParameter):
            converted(SECONDS, text)


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        (r"\t", b"\t"),
        (r"\x00\xff\xC3", b"\0\xff\xc3"),
        (r"\n\r\0\\t", b"\n\r\0\\t"),
        ("::", b"::"),
        ("é", "é".encode()),
        (BROKEN, b"\xff"),
        ("", b""),
    ],
)
def test_separators_are_bytes_as_typed(text, separator):
    assert unescape(text) == separator


@pytest.mark.parametrize("text", ["\\", r"\d", r"\xf", r"\xfg", r"a\\\ ", "\\\n"])
def test_escapes_that_mean_nothing(text):
    with pytest.raises(ValueError, match="has an escape that is none of"):
        unescape(text)


@given(st.binary())
def test_every_byte_can_be_typed(data):
    assert unescape("".join(f"\\x{byte:02x}" for byte in data)) == data


def test_a_date_without_a_zone_is_local_time():
    assert parse_time("2023-11-14") % 60_000 == 0
    assert abs(parse_time("2023-11-14") - parse_time("2023-11-14T00:00:00Z")) <= 14 * 3_600_000


def test_times_have_bounds():
    assert parse_time("@9223372036854775807") == 2**63 - 1
    # Kafka's protocol takes -1, a millisecond before 1970, for the end of the log.
    assert parse_time("1969-12-31T23:59:59.999Z") == 0
    for text in ("@9223372036854775808", "@²", "@-1", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59-14:00"):
        with pytest.raises(click.BadParameter, match="is neither @MILLISECONDS nor a date"):
            converted(TIME, text)
