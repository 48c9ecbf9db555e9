"""A setting that is documented as honoured is read by the code that it is about."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

import ottla
from ottla.config.broker import BROKER_CONFIGS, BrokerConfig
from ottla.config.definition import ConfigDef
from ottla.config.topic import TOPIC_CONFIGS, TopicConfig

PACKAGE = Path(ottla.__file__).parent
VIEWS = [PACKAGE / "config" / name for name in ("topic.py", "group.py")]
"""What other rooms ask instead of the fields, such as `TopicConfig.compact`."""


def attributes(paths: Iterable[Path]) -> set[str]:
    """Every name that is asked of an object, or matched in one."""
    return {
        node.attr
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }


READ = attributes(path for path in PACKAGE.rglob("*.py") if path.parent.name != "config" or path in VIEWS)


def definition(config: type, field: str) -> ConfigDef:
    registry = TOPIC_CONFIGS if config is TopicConfig else BROKER_CONFIGS
    return next(entry for entry in registry.values() if entry.field == field)


@pytest.mark.parametrize("config", [BrokerConfig, TopicConfig])
def test_every_honoured_setting_is_read(config: type) -> None:
    fields = [name for name in config.__annotations__ if name != "topic_defaults"]
    unread = [name for name in fields if definition(config, name).honoured and name not in READ]
    assert unread == []


@pytest.mark.parametrize("config", [BrokerConfig, TopicConfig])
def test_a_setting_without_effect_is_not_read(config: type) -> None:
    fields = [name for name in config.__annotations__ if name != "topic_defaults"]
    read = [name for name in fields if not definition(config, name).honoured and name in READ]
    assert read in ([], ["remote_storage_enable"])  # which is refused
