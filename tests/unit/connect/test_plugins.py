"""Plugins of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ottla.connect import plugins
from ottla.connect.errors import ConfigError
from ottla.connect.plugins import CONNECTORS, Plugins


def test_package_that_cannot_be_imported_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no library')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    group = "ottla.connect.connectors"
    points = {
        group: [
            EntryPoint("a.Broken", "broken_plugin:Broken", group),
            EntryPoint("b.Files", "ottla.connect.connectors.files:FileStreamSourceConnector", group),
        ]
    }
    monkeypatch.setattr(plugins, "entry_points", lambda group: points.get(group, []))
    there = Plugins()
    names = [each.name for each in there.of(*CONNECTORS)]
    assert "b.Files" in names
    assert "a.Broken" not in names
    with pytest.raises(ConfigError, match="could not be found"):
        there.load("broken_plugin.Broken", *CONNECTORS)
