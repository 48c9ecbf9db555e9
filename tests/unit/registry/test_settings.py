"""The registry's settings: what they refuse, and that the docs have them all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ottla.client.errors import ConfigurationError
from ottla.client.settings import dotted, parse
from ottla.registry.settings import RegistrySettings

PAGE = Path(__file__).parents[3] / "docs/registry.md"


@pytest.mark.parametrize("field", dataclasses.fields(RegistrySettings), ids=lambda each: each.name)
def test_the_docs_have_it_with_its_default(field: dataclasses.Field[object]) -> None:
    default = field.default
    shown = "" if default in (None, ()) else str(default).lower() if isinstance(default, bool) else default
    assert f"| `{dotted(field.name)}` | {shown} |" in PAGE.read_text()


@pytest.mark.parametrize(
    "given",
    [
        {"schema.compatibility.level": "SIDEWAYS"},
        {"kafkagroup.session.timeout.ms": 1000, "kafkagroup.heartbeat.interval.ms": 1000},
        {"ssl.client.authentication": "REQUIRED"},
        {"listener.ssl.ca.location": "ca.pem"},
        {"kafkastore.topc": "x"},
        {"ottla.registry.connections.max": 0},
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        parse(RegistrySettings, given)
