"""Which quota is a client's, and how much of it the client has taken (ClientQuotaManager).

A user together with a client id goes before the user, and that before the client id; among each the name goes
before the default. All clients that a quota names share it, those of a default have one each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from ottla.metadata.quotas import CLIENT_ID, USER, EntityQuotas, QuotaEntity
from ottla.quotas.rates import SampledRate, TokenBucket, Window, with_room

_KEPT_MAX: Final = 10_000
"""Clients whose rates are remembered at a time: their ids are their own choice"""

Sharer: TypeAlias = tuple[str | None, str | None]
"""The user and client id whose requests count together; None where it is not looked at"""


class _Any:
    """Stands for the default of a type in the table of limits."""


_DEFAULT: Final = _Any()
_Name: TypeAlias = str | _Any | None


class Limits:
    """One kind of quota of all entities, by who it is for."""

    def __init__(self, quotas: Mapping[QuotaEntity, EntityQuotas], name: str) -> None:
        self._bounds: dict[tuple[_Name, _Name], float] = {}
        for entity, each in quotas.items():
            parts = dict(entity)
            if name in each.limits and (USER in parts or CLIENT_ID in parts):
                user, client_id = (
                    _DEFAULT if kind in parts and parts[kind] is None else parts.get(kind)
                    for kind in (USER, CLIENT_ID)
                )
                self._bounds[user, client_id] = each.limits[name]
        self._found: dict[tuple[str, str], tuple[Sharer, float] | None] = {}

    def __bool__(self) -> bool:
        return bool(self._bounds)

    def find(self, user: str, client_id: str) -> tuple[Sharer, float] | None:
        """With whom the client shares its quota, and how much that is; None where it has none."""
        asked = (user, client_id)
        if asked not in self._found:
            if len(self._found) >= _KEPT_MAX:
                self._found.clear()
            self._found[asked] = next(self._candidates(user, client_id), None)
        return self._found[asked]

    def _candidates(self, user: str, client_id: str) -> Iterator[tuple[Sharer, float]]:
        both, user_alone, client_alone = (user, client_id), (user, None), (None, client_id)
        order: tuple[tuple[tuple[_Name, _Name], Sharer], ...] = (
            ((user, client_id), both),
            ((user, _DEFAULT), both),
            ((user, None), user_alone),
            ((_DEFAULT, client_id), both),
            ((_DEFAULT, _DEFAULT), both),
            ((_DEFAULT, None), user_alone),
            ((None, client_id), client_alone),
            ((None, _DEFAULT), client_alone),
        )
        for key, sharer in order:
            bound = self._bounds.get(key)
            if bound is not None:
                yield sharer, bound


class RateQuota:
    """A rate that clients are held to: bytes, or the time that their requests take."""

    def __init__(self, limits: Limits, window: Window, wait_max_ms: int | None = None) -> None:
        self._limits = limits
        self._window = window
        self._wait_max_ms = wait_max_ms
        self._rates: dict[Sharer, SampledRate] = {}

    def follow(self, limits: Limits) -> None:
        """The quotas have changed; what was taken so far still counts."""
        self._limits = limits

    def record(self, user: str, client_id: str, value: float, now_ms: int) -> int:
        """Count what a client takes now; how long it has to wait then, in milliseconds."""
        found = self._limits.find(user, client_id)
        if found is None:
            return 0
        sharer, bound = found
        rate = self._rates.get(sharer)
        if rate is None:
            rate = self._add(sharer, now_ms)
        rate.record(value, now_ms, self._window)
        wait_ms = rate.wait_ms(bound, now_ms, self._window)
        return wait_ms if self._wait_max_ms is None else min(wait_ms, self._wait_max_ms)

    def take_back(self, user: str, client_id: str, value: float, now_ms: int) -> None:
        """It was counted, and then not given."""
        found = self._limits.find(user, client_id)
        rate = None if found is None else self._rates.get(found[0])
        if rate is not None:
            rate.record(-value, now_ms, self._window)

    def most(self, user: str, client_id: str) -> int | None:
        """How much one answer may give without being refused for ever; None where there is no bound."""
        found = self._limits.find(user, client_id)
        if found is None:
            return None
        return int(found[1] * (self._window.samples - 1) * self._window.sample_ms / 1000)

    def _add(self, sharer: Sharer, now_ms: int) -> SampledRate:
        if len(self._rates) >= _KEPT_MAX:
            window = self._window
            self._rates = with_room(self._rates, _KEPT_MAX, lambda rate: rate.is_over(now_ms, window))
        rate = self._rates[sharer] = SampledRate()
        return rate


class MutationQuota:
    """How many partitions clients may have created and deleted (KIP-599)."""

    def __init__(self, limits: Limits, window: Window) -> None:
        self._limits = limits
        self._window = window
        self._buckets: dict[Sharer, TokenBucket] = {}

    def follow(self, limits: Limits) -> None:
        """The quotas have changed; what was taken so far still counts."""
        self._limits = limits

    def take(self, user: str, client_id: str, partitions: int, now_ms: int, *, strict: bool) -> int:
        """Count a change; how long the client has to wait then, in milliseconds. With `strict` a change is
        not counted that has to wait: it is not to be done.
        """
        found = self._limits.find(user, client_id)
        if found is None:
            return 0
        sharer, bound = found
        bucket = self._buckets.get(sharer)
        if bucket is None:
            bucket = self._add(sharer, bound, now_ms)
        wait_ms = bucket.wait_ms(bound, now_ms, self._window) if strict else 0
        if wait_ms == 0:
            bucket.take(partitions, bound, now_ms, self._window)
            if not strict:
                wait_ms = bucket.wait_ms(bound, now_ms, self._window)
        return wait_ms

    def _add(self, sharer: Sharer, bound: float, now_ms: int) -> TokenBucket:
        if len(self._buckets) >= _KEPT_MAX:
            self._buckets = with_room(self._buckets, _KEPT_MAX, lambda _: False)
        bucket = self._buckets[sharer] = TokenBucket(now_ms, bound, self._window)
        return bucket
