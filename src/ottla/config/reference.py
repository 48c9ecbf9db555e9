"""The reference page of all settings, docs/configuration.md, from the registries.

`python -m ottla.config.reference > docs/configuration.md` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from ottla.config.broker import BROKER_CONFIGS
from ottla.config.client_metrics import CLIENT_METRICS_CONFIGS
from ottla.config.definition import ConfigDef, format_value
from ottla.config.groups import GROUP_CONFIGS
from ottla.config.topic import TOPIC_CONFIGS

_INTRODUCTION = """\
# Configuration

<!-- Written by `python -m ottla.config.reference`; a test compares. -->

Settings carry Kafka's own names, so a `server.properties` written for Kafka starts Ottla. They come from, the
later ones winning:

1. the defaults below;
2. the file given with `--config`: Java properties, or TOML when its name ends in `.toml` (dotted keys or
   tables; quote a key that another one begins with: `"max.connections" = 100`);
3. the environment: `OTTLA_LOG_RETENTION_MS` sets `log.retention.ms`, `OTTLA_ACKS_ALL_FLUSH` sets
   `ottla.acks.all.flush`;
4. `--set name=value`;
5. the other options of `ottla serve`, such as `--listen`.

A value that is wrong, a misspelt name, a topic's setting among the broker's, and an unknown name that begins
with `ottla.` stop the start with one line that says where it stands. Other names that Kafka 4.4 does not
have, such as those of plug-ins and of older releases, are kept and reported in the log, as in Kafka; so are
variables that begin with `OTTLA_` and set nothing.

Update mode says what may change while the broker runs (AlterConfigs): `read-only` nothing, `cluster-wide` the
value of one broker or of all. Topic and group settings may always change.
"""


def reference_page() -> str:
    own = [entry for entry in BROKER_CONFIGS.values() if entry.name.startswith("ottla.")]
    honoured = [entry for entry in BROKER_CONFIGS.values() if entry.honoured and entry not in own]
    inert = [entry for entry in BROKER_CONFIGS.values() if not entry.honoured]
    lines = [
        _INTRODUCTION,
        "## Broker settings\n",
        *_broker_table(honoured),
        "\n## Ottla's own broker settings\n",
        *_broker_table(own),
        "\n## Topic settings\n",
        *_resource_table(TOPIC_CONFIGS.values()),
        "\n## Group settings\n",
        *_resource_table(GROUP_CONFIGS.values()),
        "\n## Settings of subscriptions to clients' metrics\n",
        *_resource_table(CLIENT_METRICS_CONFIGS.values()),
        "\n## Broker settings without effect\n",
        "Known to Kafka, accepted, checked and described, but nothing in Ottla asks for them.\n",
        *_broker_table(inert),
        "\nSo are the settings of a single listener: a name above behind `listener.name.NAME.`.",
    ]
    return "\n".join(lines) + "\n"


def _broker_table(entries: Iterable[ConfigDef]) -> Iterator[str]:
    yield "| name | type | default | valid values | update mode | what it does |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for entry in entries:
        if not entry.internal:
            yield _row(*_common(entry), entry.update_mode.value, entry.doc)


def _resource_table(entries: Iterable[ConfigDef]) -> Iterator[str]:
    yield "| name | type | default | valid values | broker setting behind it | what it does |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for entry in entries:
        if not entry.internal:
            behind = ", ".join(f"`{name}`" for name in entry.synonyms)
            yield _row(*_common(entry), behind, entry.doc)


def _common(entry: ConfigDef) -> tuple[str, str, str, str]:
    default = "null" if entry.default is None else format_value(entry.default) or "empty"
    valid = entry.validator.text if entry.validator is not None else ""
    return f"`{entry.name}`", entry.type.name.lower(), default, valid


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(reference_page())
