"""python -m tests.differential.streams [FILE...]: have Kafka Streams answer these scenarios, or all, anew."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.differential.streams import SCENARIOS, answer

with tempfile.TemporaryDirectory() as classes:
    answer([Path(name) for name in sys.argv[1:]] or sorted(SCENARIOS.glob("*.txt")), Path(classes))
