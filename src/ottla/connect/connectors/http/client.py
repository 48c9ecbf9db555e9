"""Requests over urllib3: what all connectors share that speak HTTP."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from ottla.connect.connectors.base import needs
from ottla.connect.connectors.payloads import parsed_json
from ottla.connect.connectors.sinks import BusyError, TargetError
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, ConnectError, DataError, RetriableError
from ottla.connect.settings import Settings, SettingValue, invalid
from ottla.connect.validators import AtLeast, Check, OneOfIgnoringCase

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

__all__ = [
    "PASSING",
    "URL",
    "HttpClient",
    "Response",
    "Servers",
    "auth_config",
    "basic",
    "check_auth",
    "connection_config",
    "failure",
    "parsed_headers",
    "passing",
]

_MAX_BODY: Final = 64 << 20
_MAX_TOLD: Final = 300
_MAX_WAIT_S: Final = 3600
PASSING: Final = frozenset((408, 421, 423, 425, 429, 500, 502, 503, 504, 507))
"""Statuses of servers that may answer otherwise later"""
_REFUSED: Final = frozenset((401, 403, 407))
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_EARLY_S: Final = 30
"""How long before its end a token is not used any more"""


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> str:
        """The status, and the beginning of what the server says."""
        text = " ".join(self.body[:_MAX_TOLD].decode("utf-8", "replace").split())
        return f"{self.status} {text}".strip()


def _check_url(name: str, value: SettingValue) -> None:
    for each in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
        if not isinstance(each, str) or not _is_url(each):
            raise invalid(name, each, "it has to begin with http://HOST or https://HOST")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not fit, a port that is none
        return False


URL: Final = Check(_check_url, "http://HOST... or https://HOST...")


def connection_config(definition: ConfigDef) -> ConfigDef:
    """The settings of every connection."""
    return (
        definition
        .define("http.connect.timeout.ms", ConfigType.INT, 30_000, Importance.MEDIUM,
                "How long connecting may take.",
                validator=AtLeast(1), group="Connection", order=20)
        .define("http.request.timeout.ms", ConfigType.INT, 30_000, Importance.MEDIUM,
                "How long the server may say nothing.",
                validator=AtLeast(1), group="Connection", order=21)
        .define("http.proxy.url", ConfigType.STRING, None, Importance.LOW,
                "A proxy: `http://host:port`.",
                validator=URL, group="Connection", order=22)
        .define("ssl.ca.location", ConfigType.STRING, None, Importance.MEDIUM,
                "A file with the authorities whose signatures count (PEM); the system's without it.",
                group="Connection", order=23)
        .define("ssl.certificate.location", ConfigType.STRING, None, Importance.MEDIUM,
                "A file with the certificate that the server asks for (PEM).",
                group="Connection", order=24)
        .define("ssl.key.location", ConfigType.STRING, None, Importance.MEDIUM,
                "A file with its key (PEM).",
                group="Connection", order=25)
        .define("https.host.verifier.enabled", ConfigType.BOOLEAN, True, Importance.LOW,
                "Whether the certificate has to be the host's.",
                group="Connection", order=26)
    )  # fmt: skip


def auth_config(definition: ConfigDef) -> ConfigDef:
    """Who this is, with Confluent's names."""
    return (
        definition
        .define("auth.type", ConfigType.STRING, "NONE", Importance.HIGH,
                "How the server is told who this is.",
                validator=OneOfIgnoringCase("NONE", "BASIC", "BEARER", "OAUTH2"), group="Who", order=1)
        .define("connection.user", ConfigType.STRING, None, Importance.MEDIUM, "With BASIC: who.",
                group="Who", order=2)
        .define("connection.password", ConfigType.PASSWORD, None, Importance.MEDIUM, "With BASIC.",
                group="Who", order=3)
        .define("bearer.token", ConfigType.PASSWORD, None, Importance.MEDIUM, "With BEARER.",
                group="Who", order=4)
        .define("oauth2.token.url", ConfigType.STRING, None, Importance.MEDIUM,
                "With OAUTH2: where tokens are had for the client's credentials.",
                validator=URL, group="Who", order=5)
        .define("oauth2.client.id", ConfigType.STRING, None, Importance.MEDIUM, "With OAUTH2: who.",
                group="Who", order=6)
        .define("oauth2.client.secret", ConfigType.PASSWORD, None, Importance.MEDIUM, "With OAUTH2.",
                group="Who", order=7)
        .define("oauth2.client.scope", ConfigType.STRING, "any", Importance.LOW,
                "With OAUTH2: what for; `any` asks for nothing.",
                group="Who", order=8)
        .define("oauth2.token.property", ConfigType.STRING, "access_token", Importance.LOW,
                "With OAUTH2: the field of the answer that has the token.",
                group="Who", order=9)
        .define("oauth2.client.auth.mode", ConfigType.STRING, "header", Importance.LOW,
                "With OAUTH2: whether the credentials are in a header or in the body.",
                validator=OneOfIgnoringCase("header", "url"), group="Who", order=10)
    )  # fmt: skip


_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "BASIC": ("connection.user", "connection.password"),
    "BEARER": ("bearer.token",),
    "OAUTH2": ("oauth2.token.url", "oauth2.client.id", "oauth2.client.secret"),
}


def check_auth(settings: Settings) -> None:
    """ConfigError for a way of authentication without what it needs."""
    kind = settings.string("auth.type").upper()
    for name in _NEEDED.get(kind, ()):
        if settings[name] is None:
            raise ConfigError(f"auth.type={kind} needs {name}")


def parsed_headers(name: str, given: str, separator: str) -> dict[str, str]:
    """Of `Name: value|Name: value`. ConfigError."""
    headers = {}
    for each in given.split(separator) if given else ():
        header, colon, value = each.partition(":")
        if not colon or not header.strip():
            raise ConfigError(f"{name} has {each!r}, which is no NAME:VALUE ({separator!r} is between two)")
        headers[header.strip()] = value.strip()
    return headers


def failure(what: str, response: Response) -> ConnectError:
    """What to raise for a status that is no success: TargetError where this one may not come in."""
    text = f"{what}: {response.told}"
    if response.status in _REFUSED:
        return TargetError(text)
    if response.status in PASSING:
        return passing(text, response)
    return ConnectError(text)


def passing(text: str, response: Response) -> RetriableError:
    """With the time to wait, where the server says that."""
    after = response.headers.get("retry-after", "")
    return BusyError(text, min(int(after), _MAX_WAIT_S) * 1000) if after.isdecimal() else RetriableError(text)


class HttpClient:
    """Connections are kept. Nothing is tried again here, and redirections are not followed but for GET."""

    def __init__(self, settings: Settings, headers: Mapping[str, str] | None = None) -> None:
        """Settings are `connection_config`'s, perhaps with `auth_config`'s. ConfigError."""
        self._settings = settings
        self._headers = {"User-Agent": "ottla-connect", **(headers or {})}
        self._pool = _pool(settings, headers or {})
        self._auth = settings.string("auth.type").upper() if "auth.type" in settings else "NONE"
        self._token: tuple[str, float] | None = None

    def send(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """RetriableError where no answer comes, ConnectError for one that is too large."""
        response = self._send(
            method, url, body, {**self._headers, **self._authorization(), **(headers or {})}
        )
        if response.status == 401 and self._token is not None:  # ended before its time
            self._token = None
            everything = {**self._headers, **self._authorization(), **(headers or {})}
            response = self._send(method, url, body, everything)
        return response

    def close(self) -> None:
        self._pool.clear()

    def _send(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError

        _check_headers(headers)
        where = urlsplit(url)
        try:
            answer = self._pool.request(
                method, url, body=body, headers=headers, redirect=method == "GET", preload_content=False
            )
            try:
                return Response(answer.status, _lower(answer), _bounded(answer))
            finally:
                answer.release_conn()
        except (HTTPError, OSError) as error:
            # What urllib3 says of retries has all of the URL in it, and a query may have a secret.
            cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
            text = f"{method} {where.scheme}://{where.hostname}{where.path}: {cause}"
            if isinstance(error, LocationValueError):
                raise ConnectError(text) from error
            raise RetriableError(text) from error

    def _authorization(self) -> Mapping[str, str]:
        settings = self._settings
        if self._auth == "BASIC":
            user, password = settings.string("connection.user"), settings.secret("connection.password")
            return {"Authorization": basic(user, "" if password is None else password.value)}
        if self._auth == "BEARER":
            token = settings.secret("bearer.token")
            return {"Authorization": f"Bearer {'' if token is None else token.value}"}
        return {"Authorization": f"Bearer {self._oauth_token()}"} if self._auth == "OAUTH2" else {}

    def _oauth_token(self) -> str:
        if self._token is not None and self._token[1] > time.monotonic():
            return self._token[0]
        settings = self._settings
        secret = settings.secret("oauth2.client.secret")
        who, password = settings.string("oauth2.client.id"), "" if secret is None else secret.value
        form = {"grant_type": "client_credentials"}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if settings.string("oauth2.client.scope") != "any":
            form["scope"] = settings.string("oauth2.client.scope")
        if settings.string("oauth2.client.auth.mode").lower() == "url":
            form |= {"client_id": who, "client_secret": password}
        else:
            headers["Authorization"] = basic(who, password)
        url = settings.string("oauth2.token.url")
        response = self._send("POST", url, urlencode(form).encode(), headers)
        if not 200 <= response.status < 300:
            error = failure(f"oauth2.token.url={url} gives no token", response)
            raise error if isinstance(error, RetriableError) else TargetError(str(error))
        return self._remembered(response.body)

    def _remembered(self, body: bytes) -> str:
        name = self._settings.string("oauth2.token.property")
        try:
            answer = parsed_json(body)
        except DataError:
            answer = None
        token = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(token, str):
            raise TargetError(f"oauth2.token.property={name}: there is no such field in what gives tokens")
        lasts = answer.get("expires_in")
        seconds = lasts if isinstance(lasts, int | float) else 300
        self._token = token, time.monotonic() + max(seconds - _EARLY_S, 1)
        return token


class Servers:
    """Servers that have the same: the next one is asked where one does not answer, and then asked first."""

    def __init__(self, client: HttpClient, urls: Iterable[str]) -> None:
        self._client = client
        self._urls = [url.rstrip("/") for url in urls]

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[str, Response]:
        """With the URL of the one that answered. RetriableError where none does; as `HttpClient.send`."""
        for left in reversed(range(len(self._urls))):
            url = self._urls[0]
            try:
                return url, self._client.send(method, url + path, body, headers)
            except RetriableError:
                self._urls.append(self._urls.pop(0))
                if not left:
                    raise
        raise AssertionError("there is a server")


def _check_headers(headers: Mapping[str, str]) -> None:
    """TargetError for what cannot be sent, without the value, which may be a secret."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise TargetError(f"the header {name!r} has what no header may have, such as a new line")


def basic(user: str, password: str) -> str:
    """The value of the header Authorization."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _lower(answer: BaseHTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _bounded(answer: BaseHTTPResponse) -> bytes:
    body = answer.read(_MAX_BODY + 1, decode_content=True)
    if len(body) > _MAX_BODY:
        answer.close()
        raise ConnectError(f"the server's answer has more than {_MAX_BODY} bytes")
    return body


def _pool(settings: Settings, headers: Mapping[str, str]) -> PoolManager:
    """These headers may have secrets: they do not follow a redirection to another server."""
    try:
        import urllib3
    except ImportError as error:
        raise needs("urllib3", "connect-http", error) from error
    for name in ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location"):
        _check_file(name, settings.optional_string(name))
    options: dict[str, Any] = {
        "ca_certs": settings.optional_string("ssl.ca.location"),
        "cert_file": settings.optional_string("ssl.certificate.location"),
        "key_file": settings.optional_string("ssl.key.location"),
        "timeout": urllib3.Timeout(
            connect=settings.integer("http.connect.timeout.ms") / 1000,
            read=settings.integer("http.request.timeout.ms") / 1000,
        ),
        "retries": urllib3.Retry(
            total=None,
            connect=0,
            read=0,
            other=0,
            redirect=5,
            status=0,
            remove_headers_on_redirect=("Authorization", "Cookie", "Proxy-Authorization", *headers),
        ),
        "assert_hostname": None if settings.boolean("https.host.verifier.enabled") else False,
    }
    proxy = settings.optional_string("http.proxy.url")
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _check_file(name: str, path: str | None) -> None:
    if path is not None:
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise ConfigError(f"{name}={path} cannot be read: {error.strerror}") from None
