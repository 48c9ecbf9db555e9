"""What docs/bridge.md shows is what one sees."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.platform.bridge.bridge_process import Api

PAGE = Path(__file__).parents[3] / "docs/bridge.md"
COMMAND = re.compile(r"^(curl (?:.*\\\n)*.*\n)((?:[\[{].*\n)?)", re.MULTILINE)


def shown(text: str) -> Any:
    return json.loads(re.sub(r'("timestamp":)\d+', r"\g<1>0", text)) if text else None


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_its_commands_answer_as_it_says(api: Api) -> None:
    block = PAGE.read_text().split("```")[1].replace("127.0.0.1:8080", urlsplit(api.url).netloc)
    commands = COMMAND.findall(block)
    assert len(commands) == block.count("curl") == 4
    for command, answer in commands:
        for _ in range(20):  # records come when the group has the consumer
            run = subprocess.run(
                ["bash", "-c", f"{command.strip()} --fail --silent --show-error --max-time 60"],
                capture_output=True,
                text=True,
                check=False,
            )
            assert run.returncode == 0, command + run.stderr + run.stdout
            if run.stdout != "[]":
                break
        assert shown(run.stdout) == shown(answer), command
