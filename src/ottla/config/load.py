"""The static settings of a start: file, environment, `--set` and command options, later ones winning.

Every complaint is one line: where the setting stands, its name, and the nearest right name or what is
allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ottla.config.broker import BROKER_CONFIGS, BrokerConfig, broker_config
from ottla.config.definition import ConfigError
from ottla.config.inert_keys import REMOVED_NAMES
from ottla.config.layers import BrokerLayers
from ottla.config.properties import parse_properties
from ottla.config.topic_keys import TOPIC_CONFIGS

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT_PREFIX = "OTTLA_"
_OPEN_PREFIX = "listener.name."  # Kafka accepts any key behind it

_NOT_SETTINGS = (
    r"OTTLA_(BOOTSTRAP_SERVERS|COMPILE|TEST_\w+"
    r"|(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?))"
)
"""Variables with our prefix that are not the broker's: the command line's, the installation's, the test
suite's, and those that Kubernetes gives every pod for services whose names begin with "ottla".
"""


class Setting(NamedTuple):
    name: str
    text: str
    origin: str  # "server.properties:12", "OTTLA_NODE_ID", "--set", "--listen"


class Sources(NamedTuple):
    """What the caller found; nothing else is read. `options` maps a key to its text and the option's name."""

    file: Path | None = None
    environment: Mapping[str, str] = MappingProxyType({})
    assignments: Sequence[str] = ()
    options: Mapping[str, tuple[str, str]] = MappingProxyType({})


class Settings(NamedTuple):
    """The static layer, what it resolves to, and the names in it that change nothing."""

    static: Mapping[str, str]
    config: BrokerConfig
    without_effect: tuple[str, ...]


def load_settings(sources: Sources) -> Settings:
    """Read `sources`; raises ConfigError with one line for the first mistake."""
    chosen: dict[str, Setting] = {}
    without_effect: set[str] = set()
    for setting in _settings(sources):
        if setting.name in REMOVED_NAMES or setting.name.startswith(_OPEN_PREFIX):
            without_effect.add(setting.name)
            continue
        _check(setting)
        chosen[setting.name] = setting
    static = {name: setting.text for name, setting in chosen.items()}
    try:
        config = broker_config(BrokerLayers(static=static))
    except ConfigError as error:
        raise ConfigError(f"{_origin(error, chosen)}: {error.message}", error.name) from None
    without_effect.update(name for name in chosen if not BROKER_CONFIGS[name].honoured)
    return Settings(static, config, tuple(sorted(without_effect)))


def environment_variable(name: str) -> str:
    """The variable that sets `name`: `OTTLA_LOG_RETENTION_MS` for log.retention.ms.

    Keys that begin with `ottla.` already have the prefix: `OTTLA_ACKS_ALL_FLUSH`.
    """
    variable = name.replace(".", "_").replace("-", "_").upper()
    return variable if variable.startswith(ENVIRONMENT_PREFIX) else ENVIRONMENT_PREFIX + variable


def _settings(sources: Sources) -> Iterator[Setting]:
    if sources.file is not None:
        yield from _from_file(sources.file)
    yield from _from_environment(sources.environment)
    for assignment in sources.assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name.strip():
            raise ConfigError(f"--set {assignment}: expected name=value")
        yield Setting(name.strip(), text.strip(), "--set")
    for name, (text, option) in sources.options.items():
        yield Setting(name, text, option)


def _from_file(path: Path) -> Iterator[Setting]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    if path.suffix.lower() == ".toml":
        yield from _from_toml(path, text)
        return
    try:
        for entry in parse_properties(text):
            yield Setting(entry.name, entry.value, f"{path}:{entry.line}")
    except ConfigError as error:
        if error.name is None:
            raise ConfigError(f"{path}:{error.message}") from None
        raise


def _from_toml(path: Path, text: str) -> Iterator[Setting]:
    import tomllib  # only for such files: a start without one is 2 ms shorter

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    yield from _flatten(path, "", document)


def _flatten(path: Path, prefix: str, table: Mapping[str, object]) -> Iterator[Setting]:
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict):
            yield from _flatten(path, f"{name}.", value)
        else:
            yield Setting(name, _toml_text(path, name, value), str(path))


def _toml_text(path: Path, name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, (str, int)) for item in value):
        return ",".join(str(item) for item in value)
    raise ConfigError(f"{path}: {name}: expected a string, a number, a boolean or a list of strings", name)


def _from_environment(environment: Mapping[str, str]) -> Iterator[Setting]:
    given = sorted(variable for variable in environment if variable.startswith(ENVIRONMENT_PREFIX))
    if not given:
        return
    names = {environment_variable(name): name for name in (*BROKER_CONFIGS, *REMOVED_NAMES)}
    for variable in given:
        if variable not in names:
            if re.fullmatch(_NOT_SETTINGS, variable):
                continue
            hint = _did_you_mean(variable, names)
            raise ConfigError(f"{variable}: no setting has this environment variable{hint}", variable)
        yield Setting(names[variable], environment[variable], variable)


def _check(setting: Setting) -> None:
    definition = BROKER_CONFIGS.get(setting.name)
    if definition is None:
        raise ConfigError(
            f"{setting.origin}: unknown setting {setting.name}{_hint(setting.name)}", setting.name
        )
    try:
        definition.parse(setting.text)
    except ConfigError as error:
        raise ConfigError(f"{setting.origin}: {error.message}", setting.name) from None


def _origin(error: ConfigError, chosen: Mapping[str, Setting]) -> str:
    """Where the key stands that `error` is about; a rule between keys may have been broken by either."""
    if error.name is not None and error.name in chosen:
        return chosen[error.name].origin
    named = (setting.origin for setting in chosen.values() if setting.name in error.message)
    return next(named, "configuration")


def _hint(name: str) -> str:
    topic_key = TOPIC_CONFIGS.get(name)
    if topic_key is not None and topic_key.synonyms:
        return f"; it is a topic setting, its default is set by {topic_key.synonyms[0]}"
    return _did_you_mean(name, BROKER_CONFIGS)


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    import difflib  # only for mistakes: a start without them is 1 ms shorter

    nearest = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""
