"""What connectors that come with Ottla share."""

from __future__ import annotations

import pytest

from ottla.connect.connectors.base import BuiltInSinkConnector, BuiltInSourceConnector
from ottla.connect.definition import ConfigType
from ottla.connect.plugins import CONNECTORS, Plugin, Plugins
from ottla.connect.version import VERSION

BUILT_IN = [each for each in Plugins().built_in if each.kind in CONNECTORS]


@pytest.mark.parametrize("plugin", [pytest.param(each, id=each.name) for each in BUILT_IN])
def test_checks_and_renamed_settings_are_of_settings_that_there_are(plugin: Plugin) -> None:
    it = Plugins().load(plugin.name, plugin.kind)()
    assert it.version() == VERSION
    if isinstance(it, BuiltInSinkConnector | BuiltInSourceConnector):
        assert {*it.checks(), *it.renames.values()} <= it.config().keys.keys()
        assert not it.renames.keys() & it.config().keys.keys()


@pytest.mark.parametrize("plugin", [pytest.param(each, id=each.name) for each in BUILT_IN])
def test_a_list_that_must_be_given_is_not_empty(plugin: Plugin) -> None:
    it = Plugins().load(plugin.name, plugin.kind)()
    needed = {key.name for key in it.config().keys.values() if key.required and key.type is ConfigType.LIST}
    found = {each.name for each in it.validate(dict.fromkeys(needed, "")) if each.errors}
    assert needed <= found
