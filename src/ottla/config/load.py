"""The static settings of a start: file, environment, `--set` and command options, later ones winning.

Every complaint is one line: where the setting stands, its name, and the nearest right name or what is
allowed. A name that nothing here has is a mistake where it resembles one that is known; any other is kept
and reported, as Kafka keeps the settings of its plug-ins and other programs have variables like ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ottla.config.broker import BROKER_CONFIGS, BrokerConfig, broker_config, broker_definition
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.config.properties import parse_properties
from ottla.config.topic import TOPIC_CONFIGS

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT_PREFIX = "OTTLA_"
_OWN_PREFIX = "ottla."  # nobody else's names begin so

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
    """The static layer, what it resolves to, the known names in it that change nothing, and what is unknown.

    `unknown` are lines for the log, one for each name or variable.
    """

    static: Mapping[str, str]
    config: BrokerConfig
    without_effect: tuple[str, ...]
    unknown: tuple[str, ...]


def load_settings(sources: Sources) -> Settings:
    """Read `sources`; raises ConfigError with one line for the first mistake."""
    chosen: dict[str, Setting] = {}
    unknown: list[str] = []
    for setting in _settings(sources, unknown):
        _check(setting)
        chosen[setting.name] = setting
    static = {name: setting.text for name, setting in chosen.items()}
    try:
        config = broker_config(BrokerLayers(static=static))
    except ConfigError as error:
        raise ConfigError(f"{_origin(error, chosen)}: {error.message}", error.name) from None
    without_effect: list[str] = []
    for name, setting in sorted(chosen.items()):
        definition = broker_definition(name)
        if definition is None:
            unknown.append(f"{setting.origin}: {name} is no setting of Ottla's and has no effect")
        elif name not in BROKER_CONFIGS or not definition.honoured:
            without_effect.append(name)
    return Settings(static, config, tuple(without_effect), tuple(unknown))


def environment_variable(name: str) -> str:
    """The variable that sets `name`: `OTTLA_LOG_RETENTION_MS` for log.retention.ms.

    Keys that begin with `ottla.` already have the prefix: `OTTLA_ACKS_ALL_FLUSH`.
    """
    variable = name.replace(".", "_").upper()
    return variable if variable.startswith(ENVIRONMENT_PREFIX) else ENVIRONMENT_PREFIX + variable


def _settings(sources: Sources, unknown: list[str]) -> Iterator[Setting]:
    """Every setting, the weakest source first; what no setting can have become goes into `unknown`."""
    if sources.file is not None:
        yield from _from_file(sources.file)
    yield from _from_environment(sources.environment, unknown)
    for assignment in sources.assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name.strip():
            raise ConfigError(f"--set {assignment}: expected name=value")
        yield Setting(name.strip(), text.strip(), "--set")
    for name, (text, option) in sources.options.items():
        if broker_definition(name) is None:  # a program's own words: no plug-in's, no other release's
            raise _unknown(Setting(name, text, option), _mistake(name))
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


def _from_environment(environment: Mapping[str, str], unknown: list[str]) -> Iterator[Setting]:
    given = sorted(variable for variable in environment if variable.startswith(ENVIRONMENT_PREFIX))
    if not given:
        return
    names = {environment_variable(name): name for name in BROKER_CONFIGS}
    for variable in given:
        if variable in names:
            yield Setting(names[variable], environment[variable], variable)
        elif not re.fullmatch(_NOT_SETTINGS, variable):
            nearest = _nearest(variable, names)
            if nearest is not None:
                raise ConfigError(
                    f"{variable}: no setting has this environment variable; did you mean {nearest}?", variable
                )
            unknown.append(f"{variable}: no setting has this environment variable, it has no effect")


def _check(setting: Setting) -> None:
    definition = broker_definition(setting.name)
    if definition is None:
        if (hint := _mistake(setting.name)) is not None:
            raise _unknown(setting, hint)
        return
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


def _unknown(setting: Setting, hint: str | None) -> ConfigError:
    return ConfigError(f"{setting.origin}: unknown setting {setting.name}{hint or ''}", setting.name)


def _mistake(name: str) -> str | None:
    """What must have been meant by an unknown name, as the end of a complaint; None where it may be right."""
    topic_key = TOPIC_CONFIGS.get(name)
    if topic_key is not None and topic_key.synonyms:
        return f"; it is a topic setting, its default is set by {topic_key.synonyms[0]}"
    if topic_key is not None:
        return "; it is a topic setting"
    nearest = _nearest(name, BROKER_CONFIGS)
    if nearest is not None:
        return f"; did you mean {nearest}?"
    return "" if name.startswith(_OWN_PREFIX) else None


_LONG_NAME = 12


def _nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` is a misspelling of: two edits away, one where it is short.

    Case does not count, nor which of `.`, `_` and `-` stands between words.
    """
    plain = _plain(name)
    limit = 2 if len(plain) > _LONG_NAME else 1
    distances = {known: _edits(plain, _plain(known), limit) for known in names}
    nearest = min(distances, key=distances.__getitem__)
    return nearest if distances[nearest] <= limit else None


def _plain(name: str) -> str:
    return name.lower().replace("_", ".").replace("-", ".")


def _edits(left: str, right: str, limit: int) -> int:
    """How many insertions, deletions, replacements and swaps of neighbours lie between; above `limit` any."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, character in enumerate(left):
        before, last, row = row, before, [i + 1]
        for j, other in enumerate(right):
            edits = min(row[j] + 1, before[j + 1] + 1, before[j] + (character != other))
            if last and j and character == right[j - 1] and left[i - 1] == other:
                edits = min(edits, last[j - 1] + 1)
            row.append(edits)
        if min(row) > limit:
            return limit + 1
    return row[-1]
