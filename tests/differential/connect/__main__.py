"""python -m tests.differential.connect: have Kafka's Connect answer all questions anew."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.differential.connect import GOLDEN, answers
from tests.differential.connect.questions import QUESTIONS

with tempfile.TemporaryDirectory() as classes:
    for name, asked in QUESTIONS.items():
        told = answers(asked, Path(classes))
        lines = [json.dumps({"ask": ask, "answer": answer}) for ask, answer in zip(asked, told, strict=True)]
        (GOLDEN / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
