"""Definitions of settings: what they parse, refuse and recommend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from ottla.connect.config_infos import config_infos
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance, Width
from ottla.connect.errors import ConfigError
from ottla.connect.settings import Secret, SettingValue
from ottla.connect.validators import AtLeast, Between, NonEmptyString, OneOf, ValidList


class Modes:
    def valid_values(self, name: str, settings: Mapping[str, SettingValue]) -> Sequence[SettingValue]:
        return ["fast"] if settings.get("level") == 1 else ["fast", "slow"]

    def visible(self, name: str, settings: Mapping[str, SettingValue]) -> bool:
        return settings.get("level") != 0


def definition() -> ConfigDef:
    return (
        ConfigDef()
        .define("level", ConfigType.INT, 1, Importance.HIGH, "How.", validator=AtLeast(0),
                dependents=["mode"], group="Tuning", order=1, width=Width.SHORT, display_name="Level")
        .define("mode", ConfigType.STRING, "fast", Importance.LOW, "Which.", recommender=Modes(),
                group="Tuning")
        .define("topics", ConfigType.LIST, REQUIRED, Importance.HIGH, "Where.")
        .define("password", ConfigType.PASSWORD, None, Importance.MEDIUM, "What.")
    )  # fmt: skip


def test_texts_become_typed_values() -> None:
    settings = definition().parse({"level": " 12 ", "topics": "a , b,,c", "password": "secret"})
    assert settings.integer("level") == 12
    assert settings.string("mode") == "fast"
    assert settings.list("topics") == ["a", "b", "", "c"]
    secret = settings.secret("password")
    assert secret is not None
    assert secret.value == "secret"
    assert str(secret) == repr(secret) == f"{secret}" == "[hidden]"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ConfigType.BOOLEAN, "TRUE", True),
        (ConfigType.LONG, "+5", 5),
        (ConfigType.SHORT, "-32768", -32768),
        (ConfigType.DOUBLE, "1e3", 1000.0),
        (ConfigType.DOUBLE, "1.5f", 1.5),
        (ConfigType.LIST, "  ", []),
        (ConfigType.STRING, " a b ", "a b"),
        (ConfigType.PASSWORD, "x", Secret("x")),
    ],
)
def test_each_type_reads_its_texts(kind: ConfigType, text: str, value: SettingValue) -> None:
    one = ConfigDef().define("it", kind, REQUIRED, Importance.HIGH, "")
    assert one.parse({"it": text})["it"] == value
    assert one.parse({"it": value})["it"] == value


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (ConfigType.BOOLEAN, "yes", "Expected value to be either true or false"),
        (ConfigType.INT, "1_0", "Not a number of type INT"),
        (ConfigType.INT, "2147483648", "Not a number of type INT"),
        (ConfigType.SHORT, "32768", "Not a number of type SHORT"),
        (ConfigType.LONG, "9" * 25, "Not a number of type LONG"),
        (ConfigType.DOUBLE, "infinity", "Not a number of type DOUBLE"),
        (ConfigType.DOUBLE, "", "Not a number of type DOUBLE"),
    ],
)
def test_a_text_that_is_none_is_named(kind: ConfigType, text: str, message: str) -> None:
    one = ConfigDef().define("it", kind, REQUIRED, Importance.HIGH, "")
    with pytest.raises(ConfigError) as caught:
        one.parse({"it": text})
    assert str(caught.value) == f"Invalid value {text} for configuration it: {message}"


def test_what_must_be_given_is_named() -> None:
    with pytest.raises(ConfigError, match='Missing required configuration "topics" which has no default'):
        definition().parse({})
    with pytest.raises(ConfigError, match="level is defined twice"):
        definition().define("level", ConfigType.INT, 1, Importance.LOW, "")
    with pytest.raises(ConfigError, match="not defined: b"):
        ConfigDef().define("a", ConfigType.INT, 1, Importance.LOW, "", dependents=["b"]).parse({})
    with pytest.raises(ConfigError, match="Invalid value -1 for configuration a: Value must be at least 0"):
        ConfigDef().define("a", ConfigType.INT, -1, Importance.LOW, "", validator=AtLeast(0))


def test_a_class_is_named_in_full() -> None:
    known = {"Cast": "ottla.Cast"}
    one = ConfigDef().define("type", ConfigType.CLASS, REQUIRED, Importance.HIGH, "", resolve=known.get)
    assert one.parse({"type": "Cast"}).string("type") == "ottla.Cast"
    with pytest.raises(ConfigError, match="Class Cost could not be found."):
        one.parse({"type": "Cost"})


def test_everything_wrong_is_said_at_once() -> None:
    values = {value.name: value for value in definition().validate({"level": "-5", "mode": "fast"})}
    assert values["level"].errors == ["Invalid value -5 for configuration level: Value must be at least 0"]
    assert values["topics"].errors == ['Missing required configuration "topics" which has no default value.']
    assert values["mode"].recommended_values == ["fast", "slow"]
    values = {value.name: value for value in definition().validate({"level": "0", "topics": "a"})}
    assert not values["mode"].visible
    assert not any(value.errors for value in values.values())


def test_the_answer_has_definitions_and_values() -> None:
    keys = definition()
    infos = config_infos("it", keys.keys, keys.validate({"topics": "a,b", "password": "x"}), keys.groups)
    answer = infos.to_json()
    assert answer["error_count"] == 0
    assert answer["groups"] == ["Tuning"]
    configs = {one["definition"]["name"]: one for one in answer["configs"]}  # type: ignore[index, call-overload, union-attr]
    assert configs["level"]["definition"] == {
        "name": "level", "type": "INT", "required": False, "default_value": "1", "importance": "HIGH",
        "documentation": "How.", "group": "Tuning", "order_in_group": 1, "width": "SHORT",
        "display_name": "Level", "dependents": ["mode"],
    }  # fmt: skip
    assert configs["topics"]["value"] == {
        "name": "topics", "value": "a,b", "recommended_values": [], "errors": [], "visible": True
    }  # fmt: skip
    assert configs["password"]["value"]["value"] == "[hidden]"
    assert configs["topics"]["definition"]["default_value"] is None


def test_definitions_are_embedded_behind_a_prefix() -> None:
    outer = ConfigDef()
    outer.embed("a.", "Outer", 3, definition())
    assert list(outer.keys) == ["a.topics", "a.password", "a.mode", "a.level"]
    assert outer.keys["a.level"].group == "Outer: Tuning"
    assert outer.keys["a.level"].dependents == ["a.mode"]
    assert outer.keys["a.topics"].order == 3
    with pytest.raises(ConfigError, match="for configuration level: Value must be at least 0"):
        outer.parse({"a.topics": "t", "a.level": "-1"})
    values = {value.name: value for value in outer.validate({"a.topics": "t", "a.level": "5"})}
    assert values["a.mode"].recommended_values == ["fast", "slow"]


def test_validators_say_what_they_want() -> None:
    assert str(AtLeast(1)) == "[1,...]"
    assert str(Between(0, 5)) == "[0,...,5]"
    assert str(OneOf("a", "b")) == "[a, b]"
    with pytest.raises(ConfigError, match="String must be one of: a, b"):
        OneOf("a", "b")("it", "c")
    with pytest.raises(ConfigError, match="no more than 5"):
        Between(0, 5)("it", 6)
    with pytest.raises(ConfigError, match="String must be non-empty"):
        NonEmptyString()("it", "")
    listed = ConfigDef().define(
        "it", ConfigType.LIST, REQUIRED, Importance.LOW, "", validator=ValidList("a", "b")
    )
    assert listed.parse({"it": "a,b,a"}).list("it") == ["a", "b"]
    with pytest.raises(
        ConfigError, match="Invalid value c for configuration it: String must be one of: a, b"
    ):
        listed.parse({"it": "c"})
