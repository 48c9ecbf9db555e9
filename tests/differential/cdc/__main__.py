"""python -m tests.differential.cdc [NAME ...]: have Debezium make the golden events (of these) anew."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.differential.cdc import Debezium
from tests.platform.cdc.postgres import PostgresServer
from tests.platform.cdc.running import packed, play, text_of
from tests.platform.cdc.scenarios import GOLDEN, SCENARIOS

wanted = sys.argv[1:]
server = PostgresServer()
try:
    with tempfile.TemporaryDirectory() as classes, Debezium(Path(classes)) as debezium:
        for scenario in SCENARIOS:
            if wanted and scenario.name not in wanted:
                continue
            records = play(scenario, server, debezium)
            (GOLDEN / f"{scenario.name}.json").write_text(text_of(packed(records)))
            print(scenario.name, len(records), flush=True)
finally:
    server.close()
