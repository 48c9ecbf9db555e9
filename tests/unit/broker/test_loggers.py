"""Loggers as clients see and change them, and lines of JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from ottla.broker import loggers
from ottla.metadata.config_changes import ConfigOperation, OperationKind
from ottla.protocol.errors import ErrorCode, KafkaError

NAME = "ottla.test_loggers.deep.inside"


@pytest.fixture(autouse=True)
def made() -> Iterator[logging.Logger]:
    logger = logging.getLogger(NAME)
    before = logging.root.level
    yield logger
    logging.root.setLevel(before)
    for name in (NAME, "ottla.test_loggers"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def change(name: str, kind: int, value: str | None = None) -> None:
    operations = [ConfigOperation(name, kind, value)]
    loggers.check(operations)
    loggers.apply(operations)


def test_what_is_above_counts_until_a_logger_has_a_level_of_its_own() -> None:
    change("root", OperationKind.SET, "WARN")
    assert loggers.levels()[NAME] == "WARN"
    change("ottla.test_loggers", OperationKind.SET, "DEBUG")
    assert (loggers.levels()[NAME], loggers.levels()["root"]) == ("DEBUG", "WARN")
    change(NAME, OperationKind.SET, "FATAL")
    assert loggers.levels()[NAME] == "FATAL"
    assert not logging.getLogger(NAME).isEnabledFor(logging.ERROR)
    change(NAME, OperationKind.DELETE)
    assert loggers.levels()[NAME] == "DEBUG"


@pytest.mark.parametrize("level", ["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"])
def test_every_level_is_shown_as_it_was_set(level: str) -> None:
    change(NAME, OperationKind.SET, level)
    assert loggers.levels()[NAME] == level


@pytest.mark.parametrize(
    ("name", "kind", "value", "code"),
    [
        ("no.such.logger", OperationKind.SET, "INFO", ErrorCode.invalid_config),
        ("asyncio", OperationKind.SET, "INFO", ErrorCode.invalid_config),
        (NAME, OperationKind.SET, "LOUD", ErrorCode.invalid_config),
        (NAME, OperationKind.SET, None, ErrorCode.invalid_request),
        (NAME, OperationKind.APPEND, "INFO", ErrorCode.invalid_request),
        (NAME, 9, "INFO", ErrorCode.invalid_request),
        ("root", OperationKind.DELETE, None, ErrorCode.invalid_request),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    name: str, kind: int, value: str | None, code: ErrorCode
) -> None:
    before = loggers.levels()
    with pytest.raises(KafkaError) as refused:
        loggers.check([ConfigOperation(NAME, OperationKind.SET, "DEBUG"), ConfigOperation(name, kind, value)])
    assert refused.value.code == code
    assert loggers.levels() == before


def test_a_line_of_json_says_all_of_a_record() -> None:
    try:
        raise ValueError("no\nway")
    except ValueError:
        record = logging.LogRecord(
            NAME, logging.ERROR, __file__, 1, "a %s\nof two lines \ud800", ("text",), sys.exc_info()
        )
    record.created = 1_700_000_000.5
    line = loggers.JsonFormatter().format(record)
    assert "\n" not in line
    line.encode()
    told = json.loads(line)
    assert told.pop("exception").endswith("ValueError: no\nway")
    assert told == {
        "time": "2023-11-14T22:13:20.500+00:00",
        "level": "ERROR",
        "logger": NAME,
        "message": "a text\nof two lines \ud800",
    }
