"""Debezium's PostgresConnector: its settings, its events, its offsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ottla.cdc.postgres import settings as given
from ottla.cdc.postgres.database import connect
from ottla.cdc.postgres.offsets import position_from
from ottla.cdc.postgres.task import PostgresTask
from ottla.connect.definition import ConfigDef, ConfigValue
from ottla.connect.errors import ConfigError, ConnectError
from ottla.connect.sdk import Config, ExactlyOnceSupport, Offset, SourceConnector, SourceTask
from ottla.connect.settings import Settings
from ottla.connect.version import VERSION

__all__ = ["PostgresConnector"]


class PostgresConnector(SourceConnector):
    """One task, as there is one order of what happened."""

    def version(self) -> str:
        return VERSION

    def config(self) -> ConfigDef:
        return given.definition()

    def validate(self, config: Config) -> list[ConfigValue]:
        """Also whether lists are regular expressions, and the database lets us in."""
        values = super().validate(config)
        if any(each.errors for each in values):
            return values
        by_name = {each.name: each for each in values}
        settings = self.settings(config)
        checks: dict[str, Callable[[Settings], object]] = {
            "table.include.list": given.table_filter,
            "column.include.list": lambda parsed: given.columns_of(parsed, config),
            "skipped.operations": given.rules_of,
            "snapshot.select.statement.overrides": lambda parsed: given.overrides(parsed, config),
            "database.hostname": _reach,
        }
        for name, check in checks.items():
            try:
                check(settings)
            except (ConfigError, ConnectError) as error:
                by_name[name].errors.append(str(error))
        return values

    def task_class(self) -> type[SourceTask]:
        return PostgresTask

    def task_configs(self, max_tasks: int) -> Sequence[Config]:  # noqa: ARG002 - always one
        return [{**self.started_with, "task.id": "0"}]

    def exactly_once_support(self, config: Config) -> ExactlyOnceSupport:  # noqa: ARG002
        return ExactlyOnceSupport.SUPPORTED

    def alter_offsets(self, config: Config, offsets: Sequence[tuple[Offset, Offset | None]]) -> bool:
        server = config.get("topic.prefix")
        for partition, offset in offsets:
            if dict(partition) != {"server": server}:
                raise ConnectError(f'the one partition is {{"server": "{server}"}}, not {dict(partition)}')
            if offset is not None:
                position_from(offset)
        return True


def _reach(settings: Settings) -> None:
    connect(given.connection(settings), None).close()
