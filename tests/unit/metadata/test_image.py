import dataclasses
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.metadata.conftest import Cluster

from ottla.metadata import model
from ottla.metadata.image import ImageDelta, MetadataImage
from ottla.metadata.model import PartitionState
from ottla.metadata.transaction import (
    Compare,
    Delete,
    DeletePrefix,
    Event,
    MetadataFormatError,
    Put,
    Transaction,
)

ID, OTHER_ID = UUID(int=1 << 100), UUID(int=2 << 100)
STATE = PartitionState((1, 2), (1,), 1, leader_epoch=3, partition_epoch=4)


def topic(name, topic_id=ID, partitions=1):
    return (
        Put(model.topic_key(name), model.encode_topic(topic_id, ())),
        *(partition(name, number) for number in range(partitions)),
    )


def begun(*replicas):
    return [model.initial_state(each, each) for each in replicas]


def partition(name, number, state=STATE):
    return Put(model.partition_key(name, number), model.encode_partition(state))


def test_a_created_topic_is_found_by_name_and_id(cluster):
    delta = cluster.write(*topic("t", partitions=12))
    created = cluster.image.topics["t"]
    assert created.topic_id == ID
    assert created.partitions == (STATE,) * 12
    assert created.partitions[11].revision == created.revision == 1
    assert cluster.image.topics_by_id[ID] is created
    assert delta == ImageDelta(topics_created=(created,))


def test_images_before_stay_as_they_were(cluster):
    cluster.write(*topic("t"))
    before = cluster.image
    cluster.write(*topic("u", OTHER_ID))
    assert set(before.topics) == {"t"}
    assert cluster.image.topics["t"] is before.topics["t"]


def test_a_change_elsewhere_copies_no_topics(cluster):
    cluster.write(*topic("t"))
    before = cluster.image
    assert cluster.write(Put(model.PRODUCER_IDS, model.encode_producer_ids(1000))) == ImageDelta()
    cluster.write(Put(model.BROKER_CONFIGS, model.encode_configs({"max.connections": "7"})))
    assert cluster.image.topics is before.topics


def test_a_deleted_topic_is_gone_with_its_partitions_and_settings(cluster):
    cluster.write(*topic("t", partitions=2), Put("/configs/topics/t", b'{"retention.ms":"1"}'))
    old = cluster.image.topics["t"]
    gone = [
        Delete("/topics/t"),
        Delete("/partitions/t/0"),
        Delete("/partitions/t/1"),
        Delete("/configs/topics/t"),
    ]
    assert cluster.write(*gone) == ImageDelta(topics_deleted=(old,))
    assert not cluster.image.topics
    assert not cluster.image.topics_by_id


def test_deleted_and_created_again_in_one_poll_is_both(cluster):
    cluster.write(*topic("t"))
    old = cluster.image.topics["t"]
    cluster.store.transaction(Transaction(writes=(Delete("/topics/t"), Delete("/partitions/t/0"))))
    settings = Put("/configs/topics/t", b'{"retention.ms":"1"}')
    delta = cluster.write(*topic("t", OTHER_ID, partitions=2), settings)
    assert delta == ImageDelta(topics_deleted=(old,), topics_created=(cluster.image.topics["t"],))
    assert set(cluster.image.topics_by_id) == {OTHER_ID}


def test_unclean_elections_are_counted_once(cluster):
    cluster.write(*topic("t", partitions=3))
    unclean = PartitionState((1, 2), (2,), 2, leader_epoch=4, partition_epoch=5, is_recovering=True)
    clean = dataclasses.replace(unclean, is_recovering=False)
    delta = cluster.write(
        *(partition("t", number, each) for number, each in enumerate((unclean, clean, unclean)))
    )
    assert delta.unclean_elections == 2
    again = dataclasses.replace(unclean, isr=(2, 1), partition_epoch=6)
    assert cluster.write(partition("t", 0, again)).unclean_elections == 0
    assert (
        cluster.write(partition("t", 2, dataclasses.replace(clean, partition_epoch=6))).unclean_elections == 0
    )
    assert (
        cluster.write(partition("t", 2, dataclasses.replace(unclean, leader_epoch=5))).unclean_elections == 1
    )


def test_new_and_changed_partitions_are_told_apart(cluster):
    cluster.write(*topic("t", partitions=2))
    shrunk = PartitionState((1, 2), (2,), 2, leader_epoch=4, partition_epoch=5)
    delta = cluster.write(partition("t", 1, shrunk), partition("t", 2), partition("t", 3))
    now = cluster.image.topics["t"]
    assert [(added.topic, added.first_new) for added in delta.partitions_added] == [(now, 2)]
    assert [(changed.topic, changed.partition) for changed in delta.partitions_changed] == [(now, 1)]
    assert delta.topic_configs_changed == ()
    assert now.partitions[1] == shrunk
    assert now.partitions[1].revision == 2
    assert now.partitions[0].revision == 1


def test_settings_of_each_kind_are_kept_and_reported(cluster):
    cluster.write(*topic("t"))
    delta = cluster.write(
        Put("/configs/topics/t", model.encode_configs({"retention.ms": "5"})),
        Put("/configs/brokers/", model.encode_configs({"max.connections": "7"})),
        Put("/configs/groups/a/b", model.encode_configs({"consumer.session.timeout.ms": "45000"})),
    )
    assert delta.topic_configs_changed == (cluster.image.topics["t"],)
    assert cluster.image.topics["t"].configs == {"retention.ms": "5"}
    assert cluster.image.topics["t"].overrides.revision == 2
    assert delta.broker_configs_changed == {""}
    assert cluster.image.broker_configs("") == {"max.connections": "7"}
    assert cluster.image.broker_configs("1") == {}
    assert delta.group_configs_changed == {"a/b"}
    assert cluster.image.group_configs("a/b") == {"consumer.session.timeout.ms": "45000"}
    assert cluster.write(Delete("/configs/topics/t")).topic_configs_changed == (cluster.image.topics["t"],)
    assert cluster.image.topics["t"].configs == {}
    assert cluster.write(Delete("/configs/groups/a/b")).group_configs_changed == {"a/b"}
    assert cluster.image.group_configs("a/b") == {}


def test_topics_that_change_together_are_all_told(cluster):
    cluster.write(*topic("a"), *topic("b", OTHER_ID))
    old = cluster.image.topics
    delta = cluster.write(
        Delete("/topics/a"),
        Delete("/partitions/a/0"),
        *topic("c", UUID(int=3 << 100)),
        Put("/configs/topics/b", b'{"retention.ms":"1"}'),
    )
    now = cluster.image.topics
    assert delta == ImageDelta((old["a"],), (now["c"],), topic_configs_changed=(now["b"],))


def test_the_data_folders_of_brokers_are_known(cluster):
    cluster.write(Put(model.log_dirs_key(3), model.encode_log_dirs(("a", "b"))))
    assert cluster.image.log_dirs == {3: ("a", "b")}
    cluster.write(Delete(model.log_dirs_key(3)))
    assert not cluster.image.log_dirs


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("/unknown", b"{}"),
        ("/topics/t", b""),
        ("/topics/t", b"[]"),
        ("/topics/t", b'{"id":"no uuid"}'),
        ("/topics/t", b'{"id":"%s","more":1}' % str(ID).encode()),
        ("/topics/t", b'{"id":"%s","replicas":[1]}' % str(ID).encode()),
        ("/topics/t", b'{"id":"%s","replicas":[[]]}' % str(ID).encode()),
        ("/topics/t", b'{"id":"%s","replicas":[["1"]]}' % str(ID).encode()),
        ("/topics/t", b'{"id":"%s","replicas":[[true]]}' % str(ID).encode()),
        ("/topics/t", b'[1,{"id":"%s","replicas":[[1]],"isr":{"0":[2]}}]' % str(ID).encode()),
        ("/topics/t", b'[1,{"id":"%s","replicas":[[1]],"isr":{"0":[]}}]' % str(ID).encode()),
        ("/topics/t", b'[1,{"id":"%s","replicas":[[1]],"isr":{"1":[1]}}]' % str(ID).encode()),
        ("/partitions/t/0", model.encode_partition(STATE)),
        ("/partitions/t/x", model.encode_partition(STATE)),
        ("/partitions/0", model.encode_partition(STATE)),
        ("/configs/topics/t", b"{}"),
        ("/configs/brokers/1", b'{"a":1}'),
        ("/log_dirs/x", b'{"ids":[]}'),
        ("/log_dirs/1", b'{"ids":[1]}'),
        ("/log_dirs/1", b'{"ids":"a"}'),
    ],
)
def test_what_the_model_does_not_write_is_refused(key, value):
    with pytest.raises(MetadataFormatError):
        MetadataImage().apply([Event(1, key, value)])


@pytest.mark.parametrize(
    "value",
    [
        b'{"replicas":["1"],"isr":[],"leader":1,"leader_epoch":0,"partition_epoch":0}',
        b'{"replicas":[1],"isr":[true],"leader":1,"leader_epoch":0,"partition_epoch":0}',
        b'{"replicas":[1],"isr":[1],"leader":1,"leader_epoch":0}',
        b'[1,{"replicas":[1],"isr":[1],"leader":1,"leader_epoch":0,"partition_epoch":0,"elr":["2"]}]',
        b'[1,{"replicas":[1],"isr":[1],"leader":1,"leader_epoch":0,"partition_epoch":0,"is_recovering":1}]',
        b'[2,{"replicas":[1],"isr":[1],"leader":1,"leader_epoch":0,"partition_epoch":0}]',
    ],
)
def test_malformed_partitions_are_refused(value):
    with pytest.raises(MetadataFormatError):
        model.decode_partition(value, 1)


@pytest.mark.parametrize(
    "key", ["/partitions/t/\u0663", "/partitions/t/-1", "/partitions//0", "/partitions/0"]
)
def test_keys_of_partitions_end_in_a_number(key):
    with pytest.raises(MetadataFormatError, match="no partition's key"):
        model.parse_partition_key(key)


def test_deleting_what_is_not_there_changes_nothing():
    gone = [Event(1, key, None) for key in ("/topics/t", "/configs/groups/g", "/brokers/1")]
    image, delta = MetadataImage().apply(gone)
    assert (image, delta) == (MetadataImage(revision=1), ImageDelta())


def test_gaps_between_partitions_are_refused(cluster):
    with pytest.raises(MetadataFormatError, match="gaps"):
        cluster.write(*topic("t"), partition("t", 2))


def test_a_topic_does_not_change_its_id(cluster):
    cluster.write(*topic("t"))
    with pytest.raises(MetadataFormatError, match="another id"):
        cluster.write(*topic("t", OTHER_ID))


NUMBERS = st.integers(0, 2**31 - 1)
BROKER_IDS = st.lists(NUMBERS, max_size=3).map(tuple)


@given(
    st.builds(
        PartitionState,
        BROKER_IDS,
        BROKER_IDS,
        st.just(-1) | NUMBERS,
        NUMBERS,
        NUMBERS,
        BROKER_IDS,
        BROKER_IDS,
        BROKER_IDS,
        BROKER_IDS,
        st.booleans(),
    )
)
def test_partition_states_read_back_the_same(state):
    assert model.decode_partition(model.encode_partition(state), 7) == state


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_settings_read_back_the_same(values):
    assert model.decode_configs(model.encode_configs(values), 7).values == values


def test_a_partition_is_written_in_the_form_that_it_needs():
    """Form 0 is what brokers could read that knew no other."""
    assert json.loads(model.encode_partition(STATE)) == {
        "replicas": [1, 2],
        "isr": [1],
        "leader": 1,
        "leader_epoch": 3,
        "partition_epoch": 4,
    }
    form, fields = json.loads(model.encode_partition(dataclasses.replace(STATE, elr=(2,))))
    assert (form, fields["elr"], "adding" in fields) == (1, [2], False)


@given(st.binary(max_size=60))
def test_any_value_is_read_or_refused(value):
    for decode in (model.decode_topic, model.decode_producer_ids):
        with pytest.raises(MetadataFormatError):
            decode(value)
    with pytest.raises(MetadataFormatError):
        model.decode_partition(value, 1)


@pytest.mark.parametrize("other", [Delete("/a"), Put("/a", b""), DeletePrefix("/")])
def test_a_key_may_be_written_once_in_a_transaction(other):
    with pytest.raises(ValueError, match="once only"):
        Transaction(writes=(Put("/a", b"1"), other))


def test_a_transaction_is_what_etcd_takes():
    puts = tuple(Put(f"/{number}", b"") for number in range(129))
    Transaction((), puts[:128])
    with pytest.raises(ValueError, match="128"):
        Transaction((), puts)
    with pytest.raises(ValueError, match="128"):
        Transaction(tuple(Compare.absent(put.key) for put in puts), ())
    with pytest.raises(ValueError, match="bytes"):
        Transaction((), (Put("/a", bytes(1_000_000)),))


def test_partitions_begin_as_their_topic_says(cluster):
    key = model.topic_key("t")
    cluster.write(Put(key, model.encode_topic(ID, begun((1, 2), (2, 1)))))
    began = cluster.image.topics["t"].partitions
    assert began == (PartitionState((1, 2), (1, 2), 1), PartitionState((2, 1), (2, 1), 2))
    assert [state.revision for state in began] == [0, 0]
    delta = cluster.write(partition("t", 1))
    assert [change.partition for change in delta.partitions_changed] == [1]
    delta = cluster.write(Put(key, model.encode_topic(ID, begun((1, 2), (2, 1), (1, 2)))))
    (added,) = delta.partitions_added
    assert (added.first_new, delta.partitions_changed) == (2, ())
    assert cluster.image.topics["t"].partitions == (began[0], STATE, began[0])
    cluster.write(Put(key, model.encode_topic(ID, begun((2,), (2, 1), (1, 2)))))
    assert cluster.image.topics["t"].partitions == (PartitionState((2,), (2,), 2), STATE, began[0])
    cluster.write(Delete(key), DeletePrefix(model.partitions_prefix("t")))
    assert cluster.image.topics == {}


def test_partitions_may_begin_without_all_of_their_replicas(cluster):
    key, states = model.topic_key("t"), [model.initial_state((1, 2), (2,)), *begun((1, 2))]
    cluster.write(Put(key, model.encode_topic(ID, states)))
    (first, second) = cluster.image.topics["t"].partitions
    assert first == PartitionState((1, 2), (2,), 2)
    assert second == PartitionState((1, 2), (1, 2), 1)
    cluster.write(Put(key, model.encode_topic(ID, [first, second, *begun((2, 1))])))
    assert cluster.image.topics["t"].partitions[:2] == (first, second)


def test_topics_of_the_first_format_are_read(cluster):
    cluster.write(Put(model.topic_key("t"), b'{"id":"%s"}' % str(ID).encode()), partition("t", 0))
    assert cluster.image.topics["t"].partitions == (STATE,)
    cluster.write(Put(model.topic_key("t"), model.encode_topic(ID, begun((1, 2), (1,)))))
    assert cluster.image.topics["t"].partitions == (STATE, PartitionState((1,), (1,), 1))


def test_a_form_that_a_newer_version_has_written_is_named(cluster):
    newer = Put(model.BROKER_CONFIGS + "1", b'[1,{"listeners":{}}]')
    with pytest.raises(MetadataFormatError, match="newer"):
        cluster.write(newer)


def test_features_change_the_image_and_its_delta(cluster):
    levels = {**model.NEWEST_FEATURES, model.GROUP_VERSION: 0}
    delta = cluster.write(Put(model.FEATURES, model.encode_features(levels)))
    assert delta == ImageDelta(features_changed=True)
    assert model.GROUP_VERSION not in cluster.image.features
    assert cluster.image.features_epoch == cluster.image.revision
    assert not cluster.write(*topic("t")).features_changed
    assert cluster.image.features_epoch < cluster.image.revision
    assert cluster.write(Delete(model.FEATURES)) == ImageDelta(features_changed=True)
    assert cluster.image.features_epoch == 0


NAMES = {"a": ID, "b": OTHER_ID}
TOPIC_WRITES = st.lists(
    st.sampled_from(list(NAMES)).flatmap(
        lambda name: st.sampled_from(
            [
                topic(name, NAMES[name]),
                topic(name, UUID(int=NAMES[name].int + 1), partitions=2),
                (Put(model.TOPIC_CONFIGS + name, b'{"retention.ms":"5"}'),),
                (partition(name, 0, PartitionState((1,), (1,), 1)),),
                (partition(name, 1),),
                (
                    Delete(model.topic_key(name)),
                    Delete(model.TOPIC_CONFIGS + name),
                    *(Delete(model.partition_key(name, number)) for number in range(2)),
                ),
            ]
        )
    ),
    max_size=12,
)


@given(TOPIC_WRITES)
def test_what_changed_can_be_told_without_the_changes(transactions):
    """The delta of a revision is that between both images, as when the history in between is gone."""
    cluster = Cluster()
    for writes in transactions:
        before = cluster.image
        try:
            delta = cluster.write(*writes)
        except MetadataFormatError:  # no plan writes that
            return
        assert cluster.image.delta_from(before) == delta
