"""The levels of this process's loggers, as Kafka's BROKER_LOGGER resource has them (KIP-412).

They last as long as the process: what is set here is for looking closer at a broker that runs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from ottla.metadata.config_changes import ConfigOperation, OperationKind
from ottla.protocol.errors import ErrorCode, KafkaError

ROOT: Final = "root"
_OURS: Final = "ottla"
_LEVELS: Final[Mapping[str, int]] = {
    "FATAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": 5,
}
"""Kafka's names; of TRACE nothing is logged here that DEBUG leaves out"""


def levels() -> dict[str, str]:
    """The level in force of every logger that there is so far, and of what is above them."""
    return {name: _level_name(_logger(name)) for name in sorted(_names())}


def check(operations: Sequence[ConfigOperation]) -> None:
    """Raises KafkaError, invalid_config and invalid_request, where one of them cannot be done."""
    known = _names()
    nulls = [each.name for each in operations if each.kind != OperationKind.DELETE and each.value is None]
    if nulls:
        raise KafkaError(ErrorCode.invalid_request, f"Null value not supported for : {', '.join(nulls)}")
    for operation in operations:
        if operation.kind not in (OperationKind.SET, OperationKind.DELETE):
            raise KafkaError(
                ErrorCode.invalid_request,
                f"{_operation_name(operation.kind)} is not allowed for the BROKER_LOGGER resource",
            )
        if operation.name not in known:
            raise KafkaError(ErrorCode.invalid_config, f"Logger {operation.name} does not exist!")
        if operation.kind == OperationKind.DELETE and operation.name == ROOT:
            raise KafkaError(
                ErrorCode.invalid_request, f"Removing the log level of the {ROOT} logger is not allowed"
            )
        if operation.kind == OperationKind.SET and operation.value not in _LEVELS:
            raise KafkaError(
                ErrorCode.invalid_config,
                f"Cannot set the log level of {operation.name} to {operation.value} as it is not a supported "
                f"log level. Valid log levels are {', '.join(sorted(_LEVELS))}",
            )


def apply(operations: Iterable[ConfigOperation]) -> None:
    """What `check` has let pass."""
    for operation in operations:
        chosen = None if operation.kind == OperationKind.DELETE else operation.value
        _logger(operation.name).setLevel(logging.NOTSET if chosen is None else _LEVELS[chosen])
        logging.getLogger(__name__).warning("the level of %s is %s now", operation.name, chosen or "unset")


def _operation_name(kind: int) -> str:
    if kind in set(OperationKind):
        return f"{OperationKind(kind).name} operation"
    return f"Unknown operation type {kind}"


def _names() -> set[str]:
    made = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == _OURS]
    above = (name[:end] for name in made for end, letter in enumerate(name) if letter == ".")
    return {ROOT, *made, *above}


def _logger(name: str) -> logging.Logger:
    return logging.root if name == ROOT else logging.getLogger(name)


def _level_name(logger: logging.Logger) -> str:
    level = logger.getEffectiveLevel()
    return next((name for name, number in _LEVELS.items() if level >= number), "TRACE")


class JsonFormatter(logging.Formatter):
    """An object a line: `time` (ISO 8601, UTC), `level`, `logger`, `message`, and maybe `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
