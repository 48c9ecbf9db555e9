"""The command: see the package."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.kafka.install import install

from tools.wire import definitions, python

KAFKA_VERSION = "4.4.0"
"""The release whose messages are committed."""
MESSAGES = Path(__file__).parents[2] / "src" / "ottla" / "protocol" / "messages"


def main(arguments: list[str]) -> int:
    """Write the modules, and remove those that are no longer there."""
    jars = [Path(each) for each in arguments] or sorted(install(KAFKA_VERSION).jars.glob("kafka-*.jar"))
    modules = python.modules(definitions.read(jars))
    for path, text in modules.items():
        target = MESSAGES / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for old in MESSAGES.rglob("*.py"):
        if str(old.relative_to(MESSAGES)) not in modules:
            old.unlink()
    print(f"{len(modules)} modules in {MESSAGES}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
