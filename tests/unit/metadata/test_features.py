import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.metadata import model
from ottla.metadata.features import (
    WRITTEN_SINCE,
    FeatureUpdate,
    UpgradeType,
    check_may_be_written,
    update_features,
)
from ottla.metadata.image import image_at
from ottla.metadata.model import BrokerRegistration
from ottla.metadata.transaction import Delete, MetadataFormatError, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.memory import MemoryEngine

UPGRADE, SAFE, UNSAFE = UpgradeType
GROUP, TRANSACTION, METADATA = model.GROUP_VERSION, model.TRANSACTION_VERSION, model.METADATA_VERSION
OTTLA = model.OTTLA_METADATA_VERSION
NEWEST = {METADATA: 33, TRANSACTION: 2, GROUP: 1}


class Cluster:
    def __init__(self):
        self.store = MemoryEngine()

    @property
    def image(self):
        present = self.store.range("")
        return image_at(present.revision, present.entries)

    def update(self, *updates):
        plan = update_features(self.image, [FeatureUpdate(*each) for each in updates])
        for step in plan.steps:
            assert self.store.transaction(step.transaction).committed
            assert step.items == tuple(plan.results)
        return plan.results

    def write(self, value):
        self.store.transaction(Transaction(writes=(Put(model.FEATURES, value),)))


@pytest.fixture
def cluster():
    return Cluster()


def test_a_cluster_without_a_record_has_what_was_served_before_there_were_any(cluster):
    assert (cluster.image.features, cluster.image.features_epoch) == (NEWEST, 0)


def test_levels_go_down_and_up_again_all_at_once(cluster):
    assert cluster.update((GROUP, 0, SAFE), (TRANSACTION, 1, UNSAFE)) == {GROUP: 0, TRANSACTION: 1}
    below = cluster.image
    assert below.features == {METADATA: 33, TRANSACTION: 1}
    cluster.update((GROUP, 1, UPGRADE), (TRANSACTION, 2, UPGRADE))
    assert cluster.image.features == NEWEST
    assert cluster.image.features_epoch > below.features_epoch > 0


def test_the_same_level_in_any_direction_changes_nothing(cluster):
    for upgrade_type in UpgradeType:
        cluster.update((GROUP, 1, upgrade_type))
    assert cluster.store.revision == 0


def test_of_two_updates_of_one_feature_the_last_counts(cluster):
    assert cluster.update((GROUP, 7, UPGRADE), (GROUP, 0, SAFE)) == {GROUP: 0}


@pytest.mark.parametrize(
    "update",
    [
        (GROUP, 0, UPGRADE),
        (GROUP, 2, UPGRADE),
        (GROUP, -1, SAFE),
        (GROUP, 0, 0),
        (GROUP, 0, 4),
        (METADATA, 32, UNSAFE),
        (METADATA, 0, UNSAFE),
        ("no.such.feature", 1, UPGRADE),
        ("no.such.feature", 0, SAFE),
    ],
)
def test_an_update_that_cannot_be_keeps_all_others_from_being(cluster, update):
    with pytest.raises(KafkaError, match=update[0]) as refused:
        cluster.update((TRANSACTION, 1, SAFE), update)
    assert refused.value.code is ErrorCode.invalid_update_version
    assert cluster.image.features == NEWEST


def test_no_upgrade_is_called_a_downgrade(cluster):
    cluster.update((GROUP, 0, SAFE))
    for upgrade_type in (SAFE, UNSAFE):
        with pytest.raises(KafkaError, match="upgrade"):
            cluster.update((GROUP, 1, upgrade_type))


def test_levels_from_an_image_that_is_out_of_date_are_not_written(cluster):
    late = update_features(cluster.image, [FeatureUpdate(TRANSACTION, 1, SAFE)])
    cluster.update((GROUP, 0, SAFE))
    assert not cluster.store.transaction(late.steps[0].transaction).committed


@pytest.mark.parametrize("value", [b'{"group.version":2}', b'{"later":1}', b'{"group.version":true}', b"[]"])
def test_levels_that_this_version_does_not_serve_are_refused(cluster, value):
    cluster.write(value)
    with pytest.raises(MetadataFormatError):
        _ = cluster.image


@given(
    st.fixed_dictionaries(
        {}, optional={name: st.integers(*span) for name, span in model.SUPPORTED_FEATURES.items()}
    )
)
def test_levels_read_back_the_same(levels):
    read = model.decode_features(model.encode_features(levels))
    assert read == {name: level for name, level in levels.items() if level}


def test_a_level_that_a_broker_does_not_serve_is_refused(cluster):
    """Also where that broker is away: it is to come back."""
    cluster.update((TRANSACTION, 1, SAFE))
    older = BrokerRegistration(2, {}, features={METADATA: (33, 33), TRANSACTION: (0, 1), GROUP: (0, 1)})
    put = Put(model.known_broker_key(2), model.encode_broker(older))
    cluster.store.transaction(Transaction(writes=(put,)))
    with pytest.raises(KafkaError, match="from 0 to 1") as refused:
        cluster.update((TRANSACTION, 2, UPGRADE))
    assert refused.value.code is ErrorCode.invalid_update_version
    cluster.store.transaction(Transaction(writes=(Delete(put.key),)))
    assert cluster.update((TRANSACTION, 2, UPGRADE)) == {TRANSACTION: 2}


@pytest.mark.parametrize("prefix", WRITTEN_SINCE)
def test_a_key_is_written_from_its_level_on(cluster, prefix):
    since = WRITTEN_SINCE[prefix]
    write, delete = (
        Transaction(writes=(Put(prefix + "x", b"{}"),)),
        Transaction(writes=(Delete(prefix + "x"),)),
    )
    cluster.write(model.encode_features({**NEWEST, OTTLA: since - 1}))
    check_may_be_written(cluster.image, delete)
    check_may_be_written(cluster.image, Transaction(writes=(Put("/topics/t", b"{}"),)))
    with pytest.raises(KafkaError, match=f"level {since - 1}, and this takes {since}") as refused:
        check_may_be_written(cluster.image, write)
    assert refused.value.code is ErrorCode.unsupported_version
    cluster.update((OTTLA, since, UPGRADE))
    check_may_be_written(cluster.image, write)


def test_levels_of_the_metadata_never_go_down(cluster):
    cluster.update((OTTLA, 1, UPGRADE))
    for kind in UpgradeType:
        with pytest.raises(KafkaError, match="written since"):
            cluster.update((OTTLA, 0, kind))
