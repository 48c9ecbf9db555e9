"""The store that objects are put into: S3 by Confluent's settings, or any other that Arrow has, by a URI.
Needs pyarrow.
"""

from __future__ import annotations

import os
import re
import uuid
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ottla.connect.connectors.base import needs
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.errors import ConfigError, ConnectError, RetriableError
from ottla.connect.settings import Settings

if TYPE_CHECKING:
    from pyarrow import fs

__all__ = ["ObjectStore", "open_store", "store_uri"]

_REFUSED: Final = re.compile(
    r"ACCESS_DENIED|NO_SUCH_BUCKET|InvalidBucketName|SIGNATURE_DOES_NOT_MATCH|INVALID_ACCESS_KEY_ID"
    r"|INVALID_CLIENT_TOKEN_ID|INVALID_SIGNATURE|MISSING_AUTHENTICATION_TOKEN|UNRECOGNIZED_CLIENT"
    r"|PermissionDenied|AuthenticationFailed|ContainerNotFound|AccountNotFound"
)
"""What will be refused again, in the words of Arrow's file systems"""


class ObjectStore:
    """Objects of one bucket, or below one folder."""

    def __init__(self, system: fs.FileSystem, root: str) -> None:
        self._system = system
        self._root = root.rstrip("/")

    def write(self, path: str, data: bytes) -> None:
        """Whole, in the place of what has the name already. RetriableError; TargetError where the store takes
        nothing from us.
        """
        full = f"{self._root}/{path}"
        try:
            if self._system.type_name == "local":
                self._write_file(full, data)
                return
            with self._system.open_output_stream(full) as stream:
                stream.write(data)
        except OSError as error:
            raise _failure(f"the object {full} cannot be written", error) from error

    def _write_file(self, full: str, data: bytes) -> None:
        """A file is not there before it is whole, and then it is on the disk."""
        folder = os.path.dirname(full)
        os.makedirs(folder, exist_ok=True)
        beside = f"{folder}/.{uuid.uuid4().hex}.tmp"
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, full)
        except OSError:
            if os.path.exists(beside):
                os.remove(beside)
            raise
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def check(self) -> None:
        """TargetError where there is no such bucket, RetriableError where no store answers."""
        from pyarrow import fs

        try:
            if self._system.type_name == "local":
                os.makedirs(self._root, exist_ok=True)
            kind = self._system.get_file_info(self._root).type
        except OSError as error:
            raise _failure(f"{self._root} cannot be looked at", error) from error
        if kind == fs.FileType.NotFound:
            raise TargetError(f"there is no {self._root}: make the bucket first")


def _failure(what: str, error: OSError) -> ConnectError:
    text = f"{what}: {error}"
    if _REFUSED.search(str(error)) or isinstance(error, PermissionError):
        return TargetError(text)
    return RetriableError(text)


def store_uri(settings: Settings) -> str:
    """Empty where the store is a bucket of S3. It may have a key and its secret."""
    uri = settings.secret("store.uri")
    return "" if uri is None else uri.value


def open_store(settings: Settings) -> ObjectStore:
    """Raises ConfigError, which tells no secret, for settings that lead to no store."""
    try:
        from pyarrow import fs
    except ImportError as error:
        raise needs("pyarrow", "connect-objects", error) from error
    uri = store_uri(settings)
    if uri:
        try:
            return ObjectStore(*fs.FileSystem.from_uri(uri))
        except (ValueError, NotImplementedError, OSError) as error:
            text = str(error).replace(uri, "...")
            raise ConfigError(f"store.uri is no store that Arrow has: {text}") from None
    return ObjectStore(_s3(settings), settings.string("s3.bucket.name"))


def _s3(settings: Settings) -> fs.S3FileSystem:
    from pyarrow import fs

    address = urlsplit(settings.string("store.url"))
    if settings.string("store.url") and (address.scheme not in ("http", "https") or not address.netloc):
        raise ConfigError(f"store.url={settings.string('store.url')} is no URL such as http://127.0.0.1:9000")
    key, secret = settings.secret("aws.access.key.id"), settings.secret("aws.secret.access.key")
    if (key is None) != (secret is None):
        raise ConfigError("aws.access.key.id and aws.secret.access.key go together")
    attempts = settings.integer("s3.part.retries") + 1
    return fs.S3FileSystem(
        access_key=None if key is None else key.value,
        secret_key=None if secret is None else secret.value,
        region=settings.string("s3.region"),
        endpoint_override=address.netloc or None,
        scheme=address.scheme or "https",
        force_virtual_addressing=not settings.boolean("s3.path.style.access.enabled"),
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
        connect_timeout=10,
        request_timeout=60,
    )
