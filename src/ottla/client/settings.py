"""Settings under Kafka's client names and with its defaults, typed and checked.

    settings = parse(ClientSettings, {"bootstrap.servers": "127.0.0.1:9092", "request.timeout.ms": 5000})
    settings.request_timeout_ms

A settings class is a frozen dataclass whose fields are made by `number`, `flag`, `text` and their like. Names
may be written with dots or, as Python's keywords, with underscores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from ottla.client.errors import ConfigurationError
from ottla.identity.jaas import PLAIN_LOGIN, SCRAM_LOGIN, parse_jaas
from ottla.identity.sasl import ABSENT_MECHANISMS, MECHANISMS, extensions_of, is_token, password_mechanism

INT_MAX: Final = (1 << 31) - 1
LONG_MAX: Final = (1 << 63) - 1

_ALIASES: Final = {"sasl.mechanisms": "sasl.mechanism"}
"""librdkafka's other names"""

C = TypeVar("C")
_Read = Callable[[object], object]
"""From what the user gave to the typed value; ValueError says what is wrong with it."""


def _setting(default: object, read: _Read) -> Any:
    return dataclasses.field(default=default, metadata={"read": read})


def number(default: int | None, *, low: int = 0, high: int = INT_MAX) -> int:
    """A whole number between `low` and `high`, both included. None: the class finds one (`is_unset`)."""

    def read(value: object) -> int:
        if isinstance(value, str):
            try:
                value = int(value.strip())
            except ValueError:
                raise ValueError("must be a whole number") from None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("must be a whole number")
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    made: int = _setting(default, read)
    return made


def flag(default: bool | None) -> bool:
    """None: the class finds one (`is_unset`)."""

    def read(value: object) -> bool:
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value

    made: bool = _setting(default, read)
    return made


def is_unset(value: object) -> bool:
    """Whether nobody gave a setting whose default depends on others."""
    return value is None


def text(default: str, *, choices: Iterable[str] = (), fold: Callable[[str], str] = str) -> str:
    """Any text, or one of `choices` as they are after `fold` (`str.lower`)."""
    made: str = _setting(default, _text_reader(tuple(choices), fold))
    return made


def optional_text(default: str | None = None) -> str | None:
    def read(value: object) -> str | None:
        return None if value is None else _text_reader((), str)(value)

    made: str | None = _setting(default, read)
    return made


def secret() -> str | None:
    """As `optional_text`, and never shown."""

    def read(value: object) -> str | None:
        return None if value is None else _text_reader((), str)(value)

    made: str | None = dataclasses.field(default=None, repr=False, metadata={"read": read, "secret": True})
    return made


def mechanism() -> str:
    """One of SASL's; "" for none."""

    def read(value: object) -> str:
        name = _text_reader((), str.upper)(value)
        if name in ABSENT_MECHANISMS:
            raise ValueError(f"is not there; there are {', '.join(MECHANISMS)}")
        if name and name not in MECHANISMS:
            raise ValueError(f"must be one of {', '.join(MECHANISMS)}")
        return name

    made: str = _setting("", read)
    return made


def _text_reader(choices: tuple[str, ...], fold: Callable[[str], str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        value = fold(value)
        if choices and value not in choices:
            raise ValueError(f"must be one of {', '.join(map(repr, choices))}")
        return value

    return read


def texts(default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Several, in a list or with commas between them."""

    def read(value: object) -> tuple[str, ...]:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise ValueError("must be a list of strings, or strings with commas between them")
        return tuple(stripped for item in items if (stripped := item.strip()))

    made: tuple[str, ...] = _setting(default, read)
    return made


def function(default: Callable[..., Any] | None = None) -> Any:
    """A callable, or None."""

    def read(value: object) -> object:
        if value is not None and not callable(value):
            raise ValueError("must be a callable")
        return value

    return _setting(default, read)


def parse(class_: type[C], given: Mapping[str, object], *, elsewhere: Mapping[str, str] = {}) -> C:
    """`class_` with what was given. ConfigurationError for a name that there is not, which names the nearest
    one, for one that is set in another place (`elsewhere`: name to place), and for a value that it refuses.
    """
    fields = {each.name: each for each in dataclasses.fields(class_)}  # type: ignore[arg-type]
    values: dict[str, object] = {}
    for name, value in given.items():
        name = _ALIASES.get(dotted(name), name)
        key = name.replace(".", "_")
        each = fields.get(key)
        if each is None or "read" not in each.metadata:
            raise _unknown(name, fields, elsewhere)
        if key in values:
            raise ConfigurationError(f"given twice: {dotted(key)}")
        try:
            values[key] = each.metadata["read"](value)
        except ValueError as error:
            shown = "[hidden]" if "secret" in each.metadata else repr(value)
            raise ConfigurationError(f"{dotted(key)}={shown}: {error}") from None
    return class_(**values)


def dotted(field_name: str) -> str:
    """Kafka's name of a field."""
    return field_name.replace("_", ".")


def names_of(class_: type[object]) -> tuple[str, ...]:
    """Kafka's names of all settings of a class."""
    return tuple(dotted(each.name) for each in dataclasses.fields(class_))  # type: ignore[arg-type]


def _unknown(name: str, fields: Iterable[str], elsewhere: Mapping[str, str]) -> ConfigurationError:
    wanted = dotted(name)
    if wanted in elsewhere:
        return ConfigurationError(f"{wanted} is a setting of {elsewhere[wanted]}")
    known = [dotted(each) for each in fields]
    nearest = get_close_matches(wanted, [*known, *elsewhere], 1)
    if not nearest:
        return ConfigurationError(f"there is no setting {wanted}")
    place = elsewhere.get(nearest[0])
    where = f", which is a setting of {place}" if place else ""
    return ConfigurationError(f"there is no setting {wanted}; did you mean {nearest[0]}{where}?")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What connections and the view of the cluster go by, for producers, consumers and admin calls alike.

    Kafka's names and defaults; stores are PEM or PKCS12, whatever their `type` says, and
    `receive.message.max.bytes`, `ssl.*.location`, `sasl.username` and `sasl.password` are librdkafka's.
    `sasl.oauthbearer.token` is one that stays valid;
    `sasl.oauthbearer.token.provider` a function that gives one for each connection, a coroutine function
    where that takes time; `sasl.oauthbearer.extensions` are `name=value`s that brokers are told beside it.
    """

    bootstrap_servers: tuple[str, ...] = texts()
    client_id: str = text("ottla")
    request_timeout_ms: int = number(30_000)
    default_api_timeout_ms: int = number(60_000)
    retry_backoff_ms: int = number(100, high=LONG_MAX)
    retry_backoff_max_ms: int = number(1_000, high=LONG_MAX)
    reconnect_backoff_ms: int = number(50, high=LONG_MAX)
    reconnect_backoff_max_ms: int = number(1_000, high=LONG_MAX)
    socket_connection_setup_timeout_ms: int = number(10_000, low=1, high=LONG_MAX)
    connections_max_idle_ms: int = number(540_000, low=-1, high=LONG_MAX)
    metadata_max_age_ms: int = number(300_000, high=LONG_MAX)
    metadata_recovery_strategy: str = text("rebootstrap", choices=("rebootstrap", "none"), fold=str.lower)
    receive_message_max_bytes: int = number(100_000_000, low=1_000)
    security_protocol: str = text(
        "PLAINTEXT", choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), fold=str.upper
    )
    ssl_ca_location: str | None = optional_text()
    ssl_certificate_location: str | None = optional_text()
    ssl_key_location: str | None = optional_text()
    ssl_key_password: str | None = secret()
    ssl_keystore_location: str | None = optional_text()
    ssl_keystore_password: str | None = secret()
    ssl_keystore_type: str | None = optional_text()
    ssl_truststore_location: str | None = optional_text()
    ssl_truststore_password: str | None = secret()
    ssl_truststore_type: str | None = optional_text()
    ssl_endpoint_identification_algorithm: str = text("https", choices=("https", "none", ""), fold=str.lower)

    sasl_mechanism: str = mechanism()
    sasl_username: str | None = optional_text()
    sasl_password: str | None = secret()
    sasl_jaas_config: str | None = secret()
    sasl_oauthbearer_token: str | None = secret()
    sasl_oauthbearer_extensions: tuple[str, ...] = texts()
    sasl_oauthbearer_token_provider: Callable[[], str | Awaitable[str]] | None = function()  # noqa: RUF009

    def __post_init__(self) -> None:
        for server in self.bootstrap_servers:
            address_of(server)
        if self.uses_sasl:
            self._check_sasl()
        if self.ssl_key_location and not self.ssl_certificate_location:
            raise ConfigurationError("ssl.key.location is given without ssl.certificate.location")
        if self.ssl_keystore_location and self.ssl_certificate_location:
            raise ConfigurationError("given twice: ssl.keystore.location, and ssl.certificate.location")
        if self.ssl_truststore_location and self.ssl_ca_location:
            raise ConfigurationError("given twice: ssl.truststore.location, and ssl.ca.location")

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def sasl_credentials(self) -> tuple[str, str]:
        """User name and password, wherever they were given. ConfigurationError where they were not."""
        username, password = self.sasl_username, self.sasl_password
        if self.sasl_jaas_config is not None:
            if username is not None or password is not None:
                raise ConfigurationError("given twice: sasl.jaas.config, and sasl.username or sasl.password")
            username, password = self._of_jaas(self.sasl_jaas_config)
        for name, value in (("username", username), ("password", password)):
            if value is None:
                raise ConfigurationError(f"sasl.mechanism={self.sasl_mechanism} needs sasl.{name}")
        return username or "", password or ""

    @property
    def is_delegation_token(self) -> bool:
        """Whether user name and password are a token's id and HMAC (KIP-48)."""
        text = self.sasl_jaas_config
        return text is not None and parse_jaas(text)[1].get("tokenauth", "").lower() == "true"

    def _of_jaas(self, text: str) -> tuple[str | None, str | None]:
        try:
            module, options = parse_jaas(text)
        except ValueError as error:
            raise ConfigurationError(f"sasl.jaas.config=[hidden]: {error}") from None
        wanted = PLAIN_LOGIN if self.sasl_mechanism == "PLAIN" else SCRAM_LOGIN
        if module != wanted:
            raise ConfigurationError(f"sasl.jaas.config: {self.sasl_mechanism} takes {wanted} alone")
        known = {"username", "password", *(() if module == PLAIN_LOGIN else ("tokenauth",))}
        more = sorted(options.keys() - known)
        if more:
            raise ConfigurationError(f"sasl.jaas.config: {more[0]} is an option that is not there")
        return options.get("username"), options.get("password")

    def _check_sasl(self) -> None:
        if not self.sasl_mechanism:
            raise ConfigurationError(
                f"security.protocol={self.security_protocol} needs sasl.mechanism: {', '.join(MECHANISMS)}"
            )
        if self.sasl_mechanism == "OAUTHBEARER":
            token, provider = self.sasl_oauthbearer_token, self.sasl_oauthbearer_token_provider
            if (token is None) == (provider is None):
                raise ConfigurationError(
                    "sasl.mechanism=OAUTHBEARER needs one of sasl.oauthbearer.token and "
                    "sasl.oauthbearer.token.provider"
                )
            try:
                extensions_of(self.sasl_oauthbearer_extensions)
            except ValueError as error:
                raise ConfigurationError(f"sasl.oauthbearer.extensions: {error}") from None
            if token is not None and not is_token(token):
                raise ConfigurationError("sasl.oauthbearer.token=[hidden]: is no token")
            return
        try:
            password_mechanism(self.sasl_mechanism, *self.sasl_credentials, "")
        except ConfigurationError:
            raise
        except ValueError as error:
            raise ConfigurationError(f"sasl.mechanism={self.sasl_mechanism}: {error}") from None


def address_of(server: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[host]:port`; ConfigurationError for what is neither."""
    host, separator, port = server.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    valid = separator and host and (bracketed or ":" not in host)
    if not valid or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigurationError(f"bootstrap.servers: {server!r} is not host:port")
    return host, int(port)
