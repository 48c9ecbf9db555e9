import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.config.definition import (
    ConfigDef,
    ConfigError,
    ConfigType,
    at_least,
    between,
    by_name,
    format_value,
    list_of,
    matching,
    not_empty,
    one_of,
    or_value,
)


def define(kind, default=None, validator=None):
    return ConfigDef(name="some.key", type=kind, default=default, doc="", validator=validator)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ConfigType.BOOLEAN, " TRUE ", True),
        (ConfigType.BOOLEAN, "false", False),
        (ConfigType.INT, " -2147483648", -(1 << 31)),
        (ConfigType.INT, "+7", 7),
        (ConfigType.SHORT, "32767", 32767),
        (ConfigType.LONG, "9223372036854775807", (1 << 63) - 1),
        (ConfigType.DOUBLE, "5e-1", 0.5),
        (ConfigType.DOUBLE, ".5", 0.5),
        (ConfigType.STRING, " a b ", "a b"),
        (ConfigType.LIST, "a , b,c", ("a", "b", "c")),
        (ConfigType.LIST, " ", ()),
        (ConfigType.LIST, "a,b,a", ("a", "b")),
        (ConfigType.PASSWORD, " secret ", " secret "),
    ],
)
def test_parses_each_type(kind, text, value):
    assert define(kind).parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        (ConfigType.BOOLEAN, "yes", "Expected value to be either true or false"),
        (ConfigType.INT, "2147483648", "Not a number of type INT"),
        (ConfigType.INT, "1_000", "Not a number of type INT"),
        (ConfigType.INT, "", "Not a number of type INT"),
        (ConfigType.INT, "\u0663", "Not a number of type INT"),
        (ConfigType.INT, "9" * 10_000, "Not a number of type INT"),
        (ConfigType.SHORT, "32768", "Not a number of type SHORT"),
        (ConfigType.LONG, "1.5", "Not a number of type LONG"),
        (ConfigType.DOUBLE, "nan", "Not a number of type DOUBLE"),
    ],
)
def test_refuses_what_is_not_of_the_type(kind, text, problem):
    with pytest.raises(ConfigError) as refused:
        define(kind).parse(text)
    assert refused.value.message == f"Invalid value {text} for configuration some.key: {problem}"
    assert refused.value.name == "some.key"


@pytest.mark.parametrize(
    ("validator", "kind", "text", "problem"),
    [
        (at_least(1), ConfigType.INT, "0", "Value must be at least 1"),
        (between(0, 1), ConfigType.DOUBLE, "1.5", "Value must be no more than 1"),
        (one_of("a", "b"), ConfigType.STRING, "c", "String must be one of: a, b"),
        (list_of("a", "b"), ConfigType.LIST, "a,c", "String must be one of: a, b"),
        (list_of(), ConfigType.LIST, "a,,b", "Values must not be empty"),
        (matching("[0-9]+", "a number"), ConfigType.STRING, "1x", "Value must be a number"),
        (matching("[0-9]+", "numbers"), ConfigType.LIST, "1,x", "Value must be numbers"),
        (not_empty(), ConfigType.STRING, " ", "String must be non-empty"),
        (list_of(empty_allowed=False), ConfigType.LIST, "", "The list must not be empty"),
        (or_value(-1, between(1, 9)), ConfigType.INT, "0", "Value must be at least 1 or equal to -1"),
    ],
)
def test_validators_say_what_is_allowed(validator, kind, text, problem):
    with pytest.raises(ConfigError, match=problem):
        define(kind, validator=validator).parse(text)


def test_a_list_without_names_takes_any():
    assert define(ConfigType.LIST, validator=list_of()).parse("a,b") == ("a", "b")
    assert define(ConfigType.LIST, validator=list_of()).parse("") == ()


def test_a_special_value_passes_besides_the_range():
    assert define(ConfigType.INT, validator=or_value(-1, between(1, 9))).parse("-1") == -1


def test_a_password_is_neither_shown_nor_put_into_errors():
    secret = define(ConfigType.PASSWORD, validator=one_of("x"))
    assert secret.is_sensitive
    assert secret.format("hunter2") is None
    with pytest.raises(ConfigError) as refused:
        secret.parse("hunter2")
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, "true"),
        (604800000, "604800000"),
        (("compact", "delete"), "compact,delete"),
        ((), ""),
        (0.5, "0.5"),
        (0.0, "0.0"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (12345678.5, "1.23456785E7"),
        (10_000_000.0, "1.0E7"),
        (0.00012, "1.2E-4"),
        (-0.00012, "-1.2E-4"),
        (1234567.0, "1234567.0"),
    ],
)
def test_formats_as_java_does(value, text):
    assert format_value(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_formatted_double_reads_back_the_same(value):
    assert define(ConfigType.DOUBLE).parse(format_value(value)) == value


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_formatted_long_reads_back_the_same(value):
    assert define(ConfigType.LONG).parse(format_value(value)) == value


def test_a_key_defined_twice_is_refused():
    with pytest.raises(ValueError, match=r"some\.key is defined twice"):
        by_name([define(ConfigType.INT), define(ConfigType.INT)])
