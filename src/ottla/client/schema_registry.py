"""A client of any registry that speaks Confluent's API: `client.registry("http://host:8081")`.

It asks seldom, since ids never change what they stand for, so that it does with http.client of the standard
library: no package to install, TLS and client certificates by `ssl`. It waits for its answers; the client for
asyncio asks in a thread.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, Self, cast
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

from ottla.client.errors import ConfigurationError
from ottla.client.net.tls import context_from
from ottla.client.settings import optional_text, secret, texts
from ottla.client.values.registry import Reference, Registered, RegistryError, Schema

__all__ = ["Json", "RegistrySettings", "SchemaRegistry", "body_of"]

Json = dict[str, object]

_MEDIA: Final = "application/vnd.schemaregistry.v1+json"
_MAX_ANSWER: Final = 64 << 20
_MAX_REFERENCES: Final = 1000
_ROUNDS: Final = 3
_BACKOFF_S: Final = 0.1
_RETRIABLE: Final = (408, 429, 500, 502, 503, 504)
_KINDS: Final = ("AVRO", "PROTOBUF", "JSON")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """Those of a registry's client, as properties: Confluent's names, of which those of connections have
    `schema.registry.` in front."""

    schema_registry_url: tuple[str, ...] = texts()
    schema_registry_basic_auth_user_info: str | None = secret()
    schema_registry_bearer_auth_token: str | None = secret()
    schema_registry_ssl_ca_location: str | None = optional_text()
    schema_registry_ssl_certificate_location: str | None = optional_text()
    schema_registry_ssl_key_location: str | None = optional_text()
    schema_registry_ssl_key_password: str | None = secret()


class SchemaRegistry:
    """Any thread may use it. `urls` are instances of one registry: the next is asked where one does not
    answer. Settings are Confluent's, `basic.auth.user.info` as a keyword with `_` for `.`.

    `basic_auth_user_info` is `user:password` (also as a part of a URL); `bearer_auth_token` a token, or what
    gives one for each request. `timeout_s` is for one attempt; each URL has three. The latest version of a
    subject is asked for again after `latest_ttl_s`.
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        basic_auth_user_info: str | None = None,
        bearer_auth_token: str | Callable[[], str] | None = None,
        ssl_ca_location: str | None = None,
        ssl_certificate_location: str | None = None,
        ssl_key_location: str | None = None,
        ssl_key_password: str | None = None,
        timeout_s: float = 10.0,
        latest_ttl_s: float = 60.0,
    ) -> None:
        if basic_auth_user_info is not None and bearer_auth_token is not None:
            raise ConfigurationError("a registry takes a user or a token, not both")
        given = urls.split(",") if isinstance(urls, str) else list(urls)
        self._servers = tuple(_Server(each.strip(), timeout_s) for each in given if each.strip())
        if not self._servers:
            raise ConfigurationError("a registry needs a URL: http://host:8081")
        context = None  # what the system trusts, without a certificate of our own
        if ssl_ca_location is not None or ssl_certificate_location is not None:
            context = context_from(
                ssl_ca_location,
                ssl_certificate_location,
                ssl_key_location,
                ssl_key_password,
                prefix="the registry's certificates: ssl.",
            )
        for server in self._servers:
            server.context = context
            if basic_auth_user_info is not None:
                server.authorization = _basic(basic_auth_user_info)
        self._token = bearer_auth_token
        self._latest_ttl_s = latest_ttl_s
        self._schemas: dict[int | UUID, Schema] = {}
        self._registered: dict[object, Registered] = {}
        self._latest: dict[str, tuple[float, Registered]] = {}

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        return cls(
            settings.schema_registry_url,
            basic_auth_user_info=settings.schema_registry_basic_auth_user_info,
            bearer_auth_token=settings.schema_registry_bearer_auth_token,
            ssl_ca_location=settings.schema_registry_ssl_ca_location,
            ssl_certificate_location=settings.schema_registry_ssl_certificate_location,
            ssl_key_location=settings.schema_registry_ssl_key_location,
            ssl_key_password=settings.schema_registry_ssl_key_password,
        )

    def __repr__(self) -> str:
        return f"<SchemaRegistry {', '.join(each.url for each in self._servers)}>"

    # What `values.registry.Registry` says.

    def known(self, schema_id: int | UUID) -> Schema | None:
        return self._schemas.get(schema_id)

    def schema(self, schema_id: int | UUID) -> Schema:
        found = self._schemas.get(schema_id)
        if found is None:
            where = "guids" if isinstance(schema_id, UUID) else "ids"
            found = self._schema_of(self.request("GET", f"/schemas/{where}/{schema_id}"))
            self._schemas[schema_id] = found
        return found

    def register(self, subject: str, schema: Schema, *, normalize: bool = False) -> Registered:
        return self._call_of(f"/subjects/{_part(subject)}/versions", schema, normalize)

    def lookup(self, subject: str, schema: Schema, *, normalize: bool = False) -> Registered:
        return self._call_of(f"/subjects/{_part(subject)}", schema, normalize)

    def latest(self, subject: str) -> Registered:
        asked_at, found = self._latest.get(subject, (0.0, None))
        if found is None or time.monotonic() - asked_at > self._latest_ttl_s:
            answer = self.request("GET", f"/subjects/{_part(subject)}/versions/latest")
            found = _registered(answer, self._schema_of(answer))
            self._latest[subject] = time.monotonic(), found
        return found

    def _call_of(self, path: str, schema: Schema, normalize: bool) -> Registered:
        references = tuple(schema.references)
        key = (path, schema.kind, schema.text, references, normalize)
        found = self._registered.get(key)
        if found is None:
            query = "?normalize=true" if normalize else ""
            answer = self.request("POST", f"{path}{query}", body_of(schema))
            found = self._registered[key] = _registered(answer, schema)
            self._latest.clear()
        return found

    def _schema_of(self, answer: Json) -> Schema:
        kind, text = answer.get("schemaType") or "AVRO", answer.get("schema")
        if kind not in _KINDS or not isinstance(text, str):
            raise RegistryError(f"the registry has a schema of type {kind!r}, which is not known here")
        references = _references(answer)
        return Schema(kind, text, references, self.resolved(references))

    def resolved(self, references: Iterable[Reference]) -> dict[str, str]:
        """The texts of what is referred to, and of what that refers to, by name."""
        resolved: dict[str, str] = {}
        waiting = list(references)
        while waiting:
            each = waiting.pop(0)
            if each.name in resolved:
                continue
            if len(resolved) >= _MAX_REFERENCES:
                raise RegistryError(f"a schema with more than {_MAX_REFERENCES} references")
            found = self.version(each.subject, each.version)
            resolved[each.name] = str(found.get("schema", ""))
            waiting += _references(found)
        return resolved

    # The API, for commands.

    def schema_of_version(self, subject: str, version: int | str) -> Schema:
        return self._schema_of(self.version(subject, version))

    def version(self, subject: str, version: int | str, *, deleted: bool = False) -> Json:
        """What the registry has as a version ("latest") of a subject."""
        query = "?deleted=true" if deleted else ""
        return self.request("GET", f"/subjects/{_part(subject)}/versions/{version}{query}")

    def request(self, method: str, path: str, body: Json | None = None) -> Json:
        """The answer, an object; anything else is in it as `answer`. `RegistryError` where it is an error, or
        none comes from any URL."""
        failures: dict[str, str] = {}
        last: RegistryError | None = None
        for round_ in range(_ROUNDS):
            if round_:
                time.sleep(_BACKOFF_S * 4 ** (round_ - 1))
            for server in self._servers:
                try:
                    answer = server.request(method, path, body, self._authorization(server))
                except (OSError, HTTPException) as error:
                    failures[server.url] = str(error) or type(error).__name__
                    continue
                except RegistryError as error:
                    if error.status not in _RETRIABLE:
                        raise
                    last = error
                    continue
                if server is not self._servers[0]:  # asked first from now on
                    others = (each for each in self._servers if each is not server)
                    self._servers = (server, *others)
                return answer
        if last is not None:
            raise last
        said = "; ".join(f"{url}: {why}" for url, why in failures.items())
        raise RegistryError(f"no registry answers: {said}")

    def _authorization(self, server: _Server) -> str | None:
        if self._token is None:
            return server.authorization
        return f"Bearer {self._token() if callable(self._token) else self._token}"


class _Server:
    """One instance."""

    def __init__(self, url: str, timeout_s: float) -> None:
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"the registry {url!r}: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"the registry {url!r} is none: http://host:8081")
        self.is_encrypted = parts.scheme == "https"
        self._host = parts.hostname
        self._port = port or (443 if self.is_encrypted else 80)
        self._path = parts.path.rstrip("/")
        self.url = f"{parts.scheme}://{parts.hostname}:{self._port}{self._path}"
        self.context: ssl.SSLContext | None = None
        self.authorization = None
        if parts.username is not None:
            self.authorization = _basic(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
        self._timeout_s = timeout_s

    def request(self, method: str, path: str, body: Json | None, authorization: str | None) -> Json:
        """By a connection of its own: there are few requests, and nothing to be closed."""
        headers = {"Accept": f"{_MEDIA}, application/json", "User-Agent": "ottla", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = _MEDIA
        if authorization is not None:
            headers["Authorization"] = authorization
        connection = self._connect()
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, self._path + path, data, headers)
            with connection.getresponse() as response:
                text = response.read(_MAX_ANSWER + 1)
        finally:
            connection.close()
        if len(text) > _MAX_ANSWER:
            raise RegistryError(f"{self.url} answers with more than {_MAX_ANSWER} bytes")
        return _answer(self.url, method, path, response.status, text)

    def _connect(self) -> HTTPConnection:
        if self.is_encrypted:
            return HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self.context)
        return HTTPConnection(self._host, self._port, timeout=self._timeout_s)


def body_of(schema: Schema) -> Json:
    """A schema as requests have it."""
    body: Json = {"schema": schema.text}
    if schema.kind != "AVRO":
        body["schemaType"] = schema.kind
    if schema.references:
        body["references"] = [
            {"name": each.name, "subject": each.subject, "version": each.version}
            for each in schema.references
        ]
    return body


def _answer(url: str, method: str, path: str, status: int, text: bytes) -> Json:
    try:
        answer: object = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        answer = None
    if status >= 300:
        said = answer if isinstance(answer, dict) else {}
        code, message = said.get("error_code"), said.get("message")
        reason = message if isinstance(message, str) else f"{method} {path} is answered with HTTP {status}"
        raise RegistryError(f"{url}: {reason}", status, code if isinstance(code, int) else 0)
    if answer is None:
        raise RegistryError(f"{url} answers {method} {path} with what is no JSON: is it a registry?")
    return cast("Json", answer) if isinstance(answer, dict) else {"answer": answer}


def _references(answer: Mapping[str, object]) -> list[Reference]:
    found = answer.get("references")
    try:
        return [
            Reference(str(each["name"]), str(each["subject"]), int(each["version"]))
            for each in (found if isinstance(found, list) else [])
        ]
    except (TypeError, KeyError, ValueError):
        raise RegistryError(f"the registry's references are none: {found!r}") from None


def _int(answer: Mapping[str, object], name: str) -> int:
    value = answer.get(name)
    if type(value) is not int:
        raise RegistryError(f"the registry's answer has no {name}: {answer!r}")
    return value


def _registered(answer: Mapping[str, object], schema: Schema) -> Registered:
    version = answer.get("version")
    return Registered(
        _int(answer, "id"), schema, _guid(answer), version if isinstance(version, int) else None
    )


def _guid(answer: Mapping[str, object]) -> UUID | None:
    try:
        return UUID(str(answer["guid"]))
    except (KeyError, ValueError):
        return None


def _part(subject: str) -> str:
    return quote(subject, safe="")


def _basic(user: str) -> str:
    return f"Basic {base64.b64encode(user.encode()).decode()}"
