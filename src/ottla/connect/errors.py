"""What can go wrong in Connect, as one family: catch `ConnectError`.

`kafka_name` is the class that Kafka's Connect would have raised: it stands in dead letters' headers.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlreadyExistsError",
    "ConfigError",
    "ConnectError",
    "DataError",
    "IllegalWorkerStateError",
    "NotFoundError",
    "RejectedError",
    "RetriableError",
    "SchemaBuilderError",
    "SchemaProjectorError",
]


class ConnectError(Exception):
    """Something failed, and the text says what and where."""

    kafka_name: ClassVar[str] = "org.apache.kafka.connect.errors.ConnectException"


class DataError(ConnectError, ValueError):
    """A value, or a schema, that is not what it has to be."""

    kafka_name = "org.apache.kafka.connect.errors.DataException"


class SchemaBuilderError(DataError):
    """A schema that cannot be."""

    kafka_name = "org.apache.kafka.connect.errors.SchemaBuilderException"


class SchemaProjectorError(DataError):
    """A value that cannot be taken over into another schema."""

    kafka_name = "org.apache.kafka.connect.errors.SchemaProjectorException"


class RetriableError(ConnectError):
    """What may succeed when it is tried again."""

    kafka_name = "org.apache.kafka.connect.errors.RetriableException"


class RejectedError(ConnectError):
    """A record that a sink's target does not take, and that the error policy does not tolerate."""


class AlreadyExistsError(ConnectError):
    """Something of this name is there."""

    kafka_name = "org.apache.kafka.connect.errors.AlreadyExistsException"


class NotFoundError(ConnectError):
    """Nothing of this name is there."""

    kafka_name = "org.apache.kafka.connect.errors.NotFoundException"


class IllegalWorkerStateError(ConnectError):
    """What this worker cannot do in the state that it is in."""

    kafka_name = "org.apache.kafka.connect.errors.IllegalWorkerStateException"


class ConfigError(ConnectError, ValueError):
    """A configuration that cannot be: the text names the key, the value and what would be right."""

    kafka_name = "org.apache.kafka.common.config.ConfigException"
