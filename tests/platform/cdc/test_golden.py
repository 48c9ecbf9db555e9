"""The same events as Debezium's (`python -m tests.differential.cdc` made them), field by field."""

from __future__ import annotations

import json

import pytest
from tests.platform.cdc.deviations import compared, expected
from tests.platform.cdc.ours import Ours
from tests.platform.cdc.postgres import PostgresServer
from tests.platform.cdc.running import play, unpacked
from tests.platform.cdc.scenarios import GOLDEN, SCENARIOS, Scenario

LONG = frozenset(
    (
        "types-doubles", "types-iso", "types-nanos", "unwrap-drop", "unwrap-route", "unwrap-rewrite",
        "outbox-versions", "changes-nothing", "composite-key", "no-key", "truncates", "propagated",
    )
)  # fmt: skip
"""What others nearly show as well: with --full"""


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_events_are_debeziums(
    scenario: Scenario, server: PostgresServer, request: pytest.FixtureRequest
) -> None:
    if scenario.name in LONG and not request.config.getoption("--full"):
        pytest.skip("one of many of its kind: --full")
    golden = unpacked(json.loads((GOLDEN / f"{scenario.name}.json").read_text()))
    theirs = expected(scenario.name, golden)
    ours = play(scenario, server, Ours(server))
    for number, pair in enumerate(zip(ours, theirs, strict=False)):
        own, golden_record = compared(scenario.name, *pair)
        assert own == golden_record, number
    assert len(ours) == len(theirs)
