"""The client's tests of groups once more, with Apache Kafka behind them: those that its session timeouts and
intervals of heartbeats let go on quickly enough, and that leave no static member behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.client.consumer import test_groups, test_leaving
from tests.unit.client.consumer.world import World

from .brokers import Broker
from .client_world import kafka_world

pytestmark = pytest.mark.slow

test_auto_commit_goes_on = test_groups.test_auto_commit_goes_on
test_batch_of_a_partition_that_was_given_up_is_not_committed = (
    test_groups.test_batch_of_a_partition_that_was_given_up_is_not_committed
)
test_classic_and_modern_members_in_one_group = test_groups.test_classic_and_modern_members_in_one_group
test_commits_in_the_order_of_calls = test_groups.test_commits_in_the_order_of_calls
test_from_eager_to_cooperative = test_groups.test_from_eager_to_cooperative_by_two_rolling_bounces
test_listeners_are_told_and_may_commit = test_groups.test_listeners_are_told_and_may_commit
test_members_share_come_and_go = test_groups.test_members_share_come_and_go
test_members_without_a_common_assignor_are_told = test_groups.test_members_without_a_common_assignor_are_told
test_own_assignor = test_groups.test_own_assignor
test_remote_assignor = test_groups.test_remote_assignor
test_subscription_may_change = test_groups.test_subscription_may_change
test_who_closes_while_it_joins_is_gone = test_leaving.test_who_closes_while_it_joins_is_gone
test_who_comes_next_goes_on_at_the_commit = test_groups.test_who_comes_next_goes_on_at_the_commit


@pytest.fixture
async def world(brokers: tuple[Broker, Broker]) -> AsyncIterator[World]:
    async with kafka_world(brokers[0], 4) as made:
        yield made
