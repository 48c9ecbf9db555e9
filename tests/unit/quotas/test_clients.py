"""Whose quota a client's is, who shares it, and what is done about it when it changes."""

from __future__ import annotations

import itertools

import pytest

from ottla.metadata.quotas import PRODUCER_BYTE_RATE, EntityQuotas, QuotaEntity, entity_of
from ottla.quotas import clients
from ottla.quotas.clients import Limits, MutationQuota, RateQuota
from ottla.quotas.rates import Window

WINDOW = Window(11, 1000)
ORDER: list[dict[str, str | None]] = [
    {"user": "ann", "client-id": "app"},
    {"user": "ann", "client-id": None},
    {"user": "ann"},
    {"user": None, "client-id": "app"},
    {"user": None, "client-id": None},
    {"user": None},
    {"client-id": "app"},
    {"client-id": None},
]
"""What goes before what"""


def limits(*entities: tuple[dict[str, str | None], float]) -> Limits:
    quotas: dict[QuotaEntity, EntityQuotas] = {
        entity_of(parts.items()): EntityQuotas({PRODUCER_BYTE_RATE: value}) for parts, value in entities
    }
    return Limits(quotas, PRODUCER_BYTE_RATE)


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_order_in_which_quotas_count(first: int) -> None:
    known = limits(*((parts, float(place)) for place, parts in enumerate(ORDER) if place >= first))
    found = known.find("ann", "app")
    assert found is not None
    sharer, bound = found
    assert bound == first
    # A quota of a user alone is shared by his clients, one of a client id alone by its users.
    assert sharer == (
        "ann" if "user" in ORDER[first] else None,
        "app" if "client-id" in ORDER[first] else None,
    )


def test_who_has_no_quota() -> None:
    known = limits(({"user": "ann"}, 1.0), ({"user": "bob", "client-id": "app"}, 1.0))
    assert known
    assert known.find("bob", "other") is None
    assert known.find("eve", "app") is None
    assert not limits()
    assert not Limits(
        {entity_of([("ip", None)]): EntityQuotas({PRODUCER_BYTE_RATE: 1.0})}, PRODUCER_BYTE_RATE
    )


def test_clients_of_one_user_share_his_quota_and_those_of_a_default_do_not() -> None:
    quota = RateQuota(limits(({"user": "ann"}, 100.0), ({"user": None}, 100.0)), WINDOW)
    assert quota.record("ann", "one", 1000, 0) == 0
    assert quota.record("ann", "two", 1000, 0) == 10_000
    assert quota.record("bob", "one", 1000, 0) == 0
    assert quota.record("eve", "one", 1000, 0) == 0


def test_another_quota_holds_at_once_for_what_was_taken_before() -> None:
    quota = RateQuota(limits(({"user": "ann"}, 100.0)), WINDOW)
    assert quota.record("ann", "app", 1000, 0) == 0
    quota.follow(limits(({"user": "ann"}, 50.0)))
    assert quota.record("ann", "app", 0, 0) == 10_000
    quota.follow(limits(({"user": "ann"}, 100.0)))
    assert quota.record("ann", "app", 0, 0) == 0


def test_waits_are_bounded_where_they_are_to_be() -> None:
    quota = RateQuota(limits(({"user": "ann"}, 1.0)), WINDOW, wait_max_ms=1000)
    assert quota.record("ann", "app", 1_000_000, 0) == 1000


def test_what_one_answer_may_hold() -> None:
    quota = RateQuota(limits(({"user": "ann"}, 100.0)), WINDOW)
    assert quota.most("ann", "app") == 1000
    assert quota.most("bob", "app") is None
    assert quota.record("ann", "app", 1000, 0) == 0
    quota.take_back("ann", "app", 1000, 0)
    assert quota.record("ann", "app", 1000, 0) == 0


def test_clients_without_number_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_KEPT_MAX", 10)
    quota = RateQuota(limits(({"client-id": None}, 100.0)), WINDOW)
    mutations = MutationQuota(limits(({"client-id": None}, 1.0)), WINDOW)
    for number, now_ms in zip(range(1000), itertools.count(0, 10), strict=False):
        quota.record("ann", f"client {number}", 1, now_ms)
        mutations.take("ann", f"client {number}", 1, now_ms, strict=True)
    assert len(quota._rates) <= 10
    assert len(mutations._buckets) <= 10


@pytest.mark.parametrize("strict", [True, False])
def test_changes_of_partitions(strict: bool) -> None:
    quota = MutationQuota(limits(({"user": "ann"}, 1.0)), WINDOW)  # a bucket of 11
    assert quota.take("ann", "app", 10, 0, strict=strict) == 0
    # What is more than there is left is done once, and is paid for.
    assert quota.take("ann", "app", 3, 0, strict=strict) == (0 if strict else 2000)
    assert quota.take("ann", "app", 1, 0, strict=strict) == (2000 if strict else 3000)
    assert quota.take("bob", "app", 100, 0, strict=strict) == 0
