"""Settings from files, folders and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.connect.errors import ConfigError
from ottla.connect.providers import (
    PROVIDERS,
    DirectoryConfigProvider,
    EnvVarConfigProvider,
    FileConfigProvider,
    parse_properties,
    resolve_settings,
)


def test_variables_are_replaced(tmp_path: Path) -> None:
    file, folder = tmp_path / "secrets.properties", tmp_path / "mounted"
    file.write_text("password = hunter2\nuser: ada\n")
    folder.mkdir()
    (folder / "token").write_text("abc\n")
    providers = {
        "file": FileConfigProvider({}),
        "dir": DirectoryConfigProvider({}),
        "env": EnvVarConfigProvider({"allowlist.pattern": "APP_.*"}, {"APP_HOST": "db", "HOME": "/root"}),
    }
    settings = {
        "url": f"db://${{file:{file}:user}}:${{file:{file}:password}}@${{env:APP_HOST}}/x",
        "token": f"${{dir:{folder}:token}}",
        "unknown": "${vault:a:b} ${file:" + str(file) + ":none} ${env:HOME} $plain",
        "null": None,
    }
    assert resolve_settings(settings, providers) == {
        "url": "db://ada:hunter2@db/x",
        "token": "abc\n",
        "unknown": settings["unknown"],
        "null": None,
    }


def test_only_allowed_paths_are_read(tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for folder in (allowed, other):
        folder.mkdir()
        (folder / "f").write_text("key=value\n")
    (allowed / "link").symlink_to(other / "f")
    file = FileConfigProvider({"allowed.paths": str(allowed)})
    assert file.get(str(allowed / "f"), ["key"]) == {"key": "value"}
    for path in (other / "f", allowed / ".." / "other" / "f", allowed / "link", allowed / "none"):
        assert file.get(str(path), ["key"]) == {}
    folder = DirectoryConfigProvider({"allowed.paths": str(allowed)})
    assert folder.get(str(allowed), ["f", "../other/f", "none"]) == {"f": "key=value\n"}
    assert folder.get(str(other), ["f"]) == {}
    with pytest.raises(ConfigError, match="is not absolute"):
        FileConfigProvider({"allowed.paths": "here"})
    with pytest.raises(ConfigError, match="does not exist"):
        FileConfigProvider({"allowed.paths": str(tmp_path / "none")})


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Could not read properties from file .*none: No such file"):
        FileConfigProvider({}).get(str(tmp_path / "none"), ["a"])
    large = tmp_path / "large"
    large.write_bytes(b"a" * (1 << 21))
    with pytest.raises(ConfigError, match="more than 1048576 bytes"):
        FileConfigProvider({}).get(str(large), ["a"])
    large.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="no UTF-8"):
        FileConfigProvider({}).get(str(large), ["a"])
    with pytest.raises(ConfigError, match="Path is not supported"):
        EnvVarConfigProvider({}, {}).get("a", ["b"])
    with pytest.raises(ConfigError, match="allowlist.pattern"):
        EnvVarConfigProvider({"allowlist.pattern": "("}, {})
    assert {name.rpartition(".")[2] for name in PROVIDERS} >= {
        "FileConfigProvider",
        "file",
        "directory",
        "env",
    }


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("a=1\nb:2\nc 3\r\nd\n", {"a": "1", "b": "2", "c": "3", "d": ""}),
        ("# a=1\n! b=2 \\\n  c = 3 \n", {"c": "3 "}),
        ("a = one \\\n    two\n", {"a": "one two"}),
        (r"a\ b\:c = d\te\u0041\\", {"a b:c": "d\teA\\"}),
        ("a==b\na : = c", {"a": "= c"}),
        ("\n\n   \n", {}),
    ],
)
def test_properties_are_javas(text: str, properties: dict[str, str]) -> None:
    assert parse_properties(text) == properties


@given(st.text())
def test_any_text_has_properties(text: str) -> None:
    assert isinstance(parse_properties(text), dict)
