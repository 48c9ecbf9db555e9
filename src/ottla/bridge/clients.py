"""As whom the bridge speaks to Kafka: as itself, or as whoever asks it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple

from ottla.client.connecting import AsyncClient
from ottla.client.errors import ConfigurationError
from ottla.client.producer.producer import AsyncProducer
from ottla.client.settings import ClientSettings, parse
from ottla.http.app import Request
from ottla.http.errors import HttpError

_LOOK_S: Final = 10.0

_log: Final = logging.getLogger(__name__)


class Connected(NamedTuple):
    """One principal's connections; `principal` is "" for the bridge's own."""

    principal: str
    client: AsyncClient
    producer: AsyncProducer


class _Known:
    """`connecting` has what there is once it is; `used_s` is when somebody asked as this principal last."""

    def __init__(self, connecting: asyncio.Task[Connected], now_s: float) -> None:
        self.connecting = connecting
        self.used_s = now_s


class Clients:
    """With `passed_on`, whoever asks is known to Kafka by the user and password of `Authorization: Basic`, by
    the mechanism of the client's settings. There are at most `most` principals; what one of them has is
    closed when nobody asked as it for `idle_s` and `is_used` says that it is not needed.
    """

    def __init__(
        self,
        client: Mapping[str, object],
        producer: Mapping[str, object],
        *,
        passed_on: bool,
        most: int,
        idle_s: float,
        is_used: Callable[[str], bool],
        now_s: Callable[[], float],
    ) -> None:
        """ConfigurationError for settings that cannot be used."""
        nobody = {"sasl.username": "nobody", "sasl.password": "none"} if passed_on else {}
        made = parse(ClientSettings, {**client, **nobody})
        if passed_on and not made.uses_sasl:
            raise ConfigurationError(
                "ottla.bridge.authentication=kafka needs kafka.security.protocol=SASL_SSL or SASL_PLAINTEXT"
            )
        if passed_on and made.sasl_mechanism == "OAUTHBEARER":  # whose token would be everybody's
            raise ConfigurationError(
                "ottla.bridge.authentication=kafka needs a kafka.sasl.mechanism of passwords"
            )
        self._settings = client
        self._producer_settings = producer
        self._passed_on = passed_on
        self._most = most
        self._idle_s = idle_s
        self._is_used = is_used
        self._now_s = now_s
        self._known: dict[str, _Known] = {}
        self._own: Connected | None = None

    def __len__(self) -> int:
        return len(self._known)

    async def start(self) -> None:
        """ClientError where the cluster is not there. With `passed_on` nobody is known yet."""
        if not self._passed_on:
            self._own = await self._connect("", {})

    async def of(self, request: Request) -> Connected:
        """HttpError for who does not say who it is, and where there are too many; ClientError for whom Kafka
        does not let in."""
        if self._own is not None:
            return self._own
        user, password = _basic(request.headers.get("authorization", ""))
        principal = hashlib.sha256(f"{user}:{password}".encode()).hexdigest()
        known = self._known.get(principal)
        if known is None:
            if len(self._known) >= self._most:
                raise HttpError(503, f"{self._most} principals are connected, and there may not be more")
            named = {"sasl.username": user, "sasl.password": password}
            known = _Known(asyncio.create_task(self._connect(principal, named)), self._now_s())
            self._known[principal] = known
            known.connecting.add_done_callback(partial(self._forget_if_failed, principal))
        known.used_s = self._now_s()
        return await asyncio.shield(known.connecting)  # others may wait for the same

    def _forget_if_failed(self, principal: str, connecting: asyncio.Task[Connected]) -> None:
        """Before anybody hears of it: who asks then begins anew."""
        if connecting.cancelled() or connecting.exception() is not None:
            self._known.pop(principal, None)

    async def _connect(self, principal: str, named: Mapping[str, str]) -> Connected:
        settings = {**self._settings, **named}
        try:
            client = AsyncClient(parse(ClientSettings, settings))
        except ConfigurationError as error:
            if not named:
                raise
            raise HttpError(401, f"Nobody can be named so, or have such a password: {error}") from None
        try:
            await client.start()
            producer = client.producer(settings=self._producer_settings)
            await producer.start()
        except BaseException:
            await client.close()
            raise
        return Connected(principal, client, producer)

    async def keep_fresh(self) -> None:
        """Close what nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(min(_LOOK_S, max(self._idle_s / 2, 0.05)))
            before = self._now_s() - self._idle_s
            await self._close(
                principal
                for principal, known in self._known.items()
                if known.used_s < before and known.connecting.done() and not self._is_used(principal)
            )

    async def close(self) -> None:
        if self._own is not None:
            await self._own.client.close()
        await self._close(self._known)

    async def _close(self, principals: Iterable[str]) -> None:
        known = [self._known.pop(each) for each in tuple(principals)]
        await asyncio.gather(*(_closed(each.connecting) for each in known))


async def _closed(connecting: asyncio.Task[Connected]) -> None:
    connecting.cancel()
    await asyncio.wait([connecting])
    if connecting.cancelled() or connecting.exception() is not None:
        return
    try:
        await connecting.result().client.close()
    except Exception as error:  # noqa: BLE001 - others are closed all the same
        _log.warning("connections of one who asks no more were not closed well: %s", error)


def _basic(header: str) -> tuple[str, str]:
    scheme, _, credentials = header.partition(" ")
    try:
        user, colon, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeError):
        colon = ""
    if scheme.lower() != "basic" or not colon or not user:
        raise HttpError(401, "Say who you are: Authorization: Basic, with the user and password of Kafka's")
    return user, password
