"""Values of settings from elsewhere, so that no secret stands in a configuration: `${provider:path:key}`.

Kafka's file, directory and environment providers, by its classes' names or as `file`, `directory` and `env`.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from ottla.connect.errors import ConfigError

__all__ = [
    "PROVIDERS",
    "ConfigProvider",
    "DirectoryConfigProvider",
    "EnvVarConfigProvider",
    "FileConfigProvider",
    "parse_properties",
    "resolve_settings",
]

_VARIABLE: Final = re.compile(r"\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}")
_MAX_BYTES: Final = 1 << 20
_MAX_FILES: Final = 1_000
_LINE: Final = re.compile(r"(?:\\.|[^\\\n\r])*", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|\r\n|.)[ \t\f]*", re.DOTALL)
_KEY: Final = re.compile(r"((?:\\.|[^\\:=\s])*)\s*[:=]?\s*", re.DOTALL)


class ConfigProvider(ABC):
    """Where values are kept."""

    @abstractmethod
    def get(self, path: str, keys: Collection[str]) -> Mapping[str, str]:
        """The values of those keys that there are, at a path. Raises ConfigError for what cannot be read."""


class _PathProvider(ConfigProvider):
    def __init__(self, settings: Mapping[str, str]) -> None:
        """`allowed.paths` alone may be read. Raises ConfigError for one that is not there."""
        self._allowed: Final = _allowed_paths(settings.get("allowed.paths"))

    def _path(self, path: str) -> Path | None:
        """None for nothing, or what may not be read."""
        if not path:
            return None
        if self._allowed is None:
            return Path(path)
        try:
            real = Path(path).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            return None
        return real if any(real.is_relative_to(allowed) for allowed in self._allowed) else None


def _allowed_paths(text: str | None) -> Sequence[Path] | None:
    if not text:
        return None
    paths = []
    for one in text.split(","):
        path = Path(os.path.normpath(one))
        if not path.is_absolute():
            raise ConfigError(f"Path {path} is not absolute")
        if not path.exists():
            raise ConfigError(f"Path {path} does not exist")
        paths.append(path.resolve())
    return paths


def _read(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"Could not read {what} {path}: {reason}") from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"Could not read {what} {path}: it has more than {_MAX_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"Could not read {what} {path}: it is no UTF-8 text") from None


class FileConfigProvider(_PathProvider):
    """`${file:/path/to/file:key}`: a property of a file."""

    def get(self, path: str, keys: Collection[str]) -> Mapping[str, str]:
        allowed = self._path(path)
        if allowed is None:
            return {}
        properties = parse_properties(_read(allowed, "properties from file"))
        return {key: properties[key] for key in keys if key in properties}


class DirectoryConfigProvider(_PathProvider):
    """`${directory:/path/to/folder:key}`: what the file `key` has, as Kubernetes mounts secrets."""

    def get(self, path: str, keys: Collection[str]) -> Mapping[str, str]:
        allowed = self._path(path)
        if allowed is None or not allowed.is_dir():
            return {}
        files = {key: allowed / key for key in sorted(keys)[:_MAX_FILES] if Path(key).name == key}
        return {key: _read(file, "file") for key, file in files.items() if file.is_file()}


class EnvVarConfigProvider(ConfigProvider):
    """`${env:KEY}`: a variable of the worker's environment."""

    def __init__(self, settings: Mapping[str, str], environment: Mapping[str, str] | None = None) -> None:
        """`allowlist.pattern`: what the whole name of a variable has to match. Raises ConfigError."""
        pattern = settings.get("allowlist.pattern", ".*")
        try:
            self._pattern: Final = re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"allowlist.pattern {pattern!r}: {error}") from None
        self._environment: Final = os.environ if environment is None else environment

    def get(self, path: str, keys: Collection[str]) -> Mapping[str, str]:
        if path:
            raise ConfigError(f"Path is not supported for EnvVarConfigProvider, invalid value '{path}'")
        return {
            key: self._environment[key]
            for key in keys
            if key in self._environment and self._pattern.fullmatch(key) is not None
        }


PROVIDERS: Final[Mapping[str, type[FileConfigProvider | DirectoryConfigProvider | EnvVarConfigProvider]]] = {
    "org.apache.kafka.common.config.provider.FileConfigProvider": FileConfigProvider,
    "org.apache.kafka.common.config.provider.DirectoryConfigProvider": DirectoryConfigProvider,
    "org.apache.kafka.common.config.provider.EnvVarConfigProvider": EnvVarConfigProvider,
    "file": FileConfigProvider,
    "directory": DirectoryConfigProvider,
    "env": EnvVarConfigProvider,
}
"""By the names that `config.providers.NAME.class` may have."""


def resolve_settings(
    settings: Mapping[str, str | None], providers: Mapping[str, ConfigProvider]
) -> dict[str, str | None]:
    """The settings with their variables replaced, but for those that no provider knows. Raises ConfigError.

    What was replaced is secret: whoever shows settings shows those from before.
    """
    wanted: dict[tuple[str, str], dict[str, None]] = {}
    for text in settings.values():
        for found in _VARIABLE.finditer(text or ""):
            wanted.setdefault((found[1], found[3] or ""), {})[found[4]] = None
    known = {
        (name, path): providers[name].get(path, keys)
        for (name, path), keys in wanted.items()
        if name in providers
    }

    def replaced(found: re.Match[str]) -> str:
        return known.get((found[1], found[3] or ""), {}).get(found[4], found[0])

    return {name: None if text is None else _VARIABLE.sub(replaced, text) for name, text in settings.items()}


def parse_properties(text: str) -> dict[str, str]:
    """The properties of a text in Java's format: `key=value` or `key: value`, `#` and `!` begin comments, and
    a backslash at its end goes on with the line in the next.
    """
    properties: dict[str, str] = {}
    at = 0
    while at < len(text):
        line = _LINE.match(text, at)
        assert line is not None  # it may be empty
        at = line.end() + 1
        stripped = line[0].lstrip(" \t\f")
        if not stripped or stripped[0] in "#!":
            # A comment does not go on, whatever stands at its end.
            end = re.compile(r"[\r\n]").search(text, line.start())
            at = len(text) if end is None else end.end()
            continue
        key = _KEY.match(stripped)
        assert key is not None  # it may be empty
        properties[_unescaped(key[1])] = _unescaped(stripped[key.end() :])
    return properties


def _unescaped(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        what, all_of_it = found[1], found[0]
        if what in ("\n", "\r", "\r\n"):
            return ""
        rest = all_of_it[1 + len(what) :]
        if len(what) == 5:
            return chr(int(what[1:], 16)) + rest
        return {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}.get(what, what) + rest

    return _ESCAPE.sub(plain, text)
