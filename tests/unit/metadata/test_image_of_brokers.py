"""Brokers and the controller in the image, and how they are written."""

import dataclasses
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.metadata import model
from ottla.metadata.image import ImageDelta, MetadataImage
from ottla.metadata.model import BrokerRegistration, Controller, Endpoint
from ottla.metadata.transaction import Delete, Event, MetadataFormatError, Put


def registration(**changes):
    fields = {
        "listeners": {},
        "rack": None,
        "incarnation": str(UUID(int=7)),
        "features": {},
        "directory": "d",
        "clean": False,
        "fenced": True,
    }
    return json.dumps([1, {**fields, **changes}]).encode()


BROKER = BrokerRegistration(
    3,
    {"INSIDE": Endpoint("10.0.0.3", 9092), "OUTSIDE": Endpoint("example.org", 443, "SASL_SSL")},
    "r1",
    UUID(int=7),
    {"metadata.version": (33, 34)},
)


def test_brokers_come_and_go(cluster):
    put = Put(model.broker_key(3), model.encode_broker(BROKER))
    assert cluster.write(put) == ImageDelta(brokers_changed=frozenset({3}))
    assert cluster.image.brokers == {3: dataclasses.replace(BROKER, epoch=1)}
    other = BrokerRegistration(4, {})
    assert cluster.write(Put(model.broker_key(4), model.encode_broker(other))).brokers_changed == {4}
    assert cluster.write(Delete(model.broker_key(4))).brokers_changed == {4}
    assert cluster.write(put).brokers_changed == {3}  # anew, in another epoch
    assert cluster.image.brokers[3].epoch == 4
    assert cluster.write(Delete(model.broker_key(3))).brokers_changed == {3}
    assert not cluster.image.brokers


def test_a_broker_that_stops_is_alive_but_not_active(cluster):
    cluster.write(Put(model.broker_key(3), model.encode_broker(BROKER)))
    assert cluster.image.is_active(3)
    stopping = Put(model.stopping_key(3), model.MARK)
    assert cluster.write(stopping) == ImageDelta(brokers_changed=frozenset({3}))
    assert cluster.image.stopping == {3}
    assert not cluster.image.is_active(3)
    assert not cluster.image.is_active(4)
    delta = cluster.write(Delete(model.stopping_key(3)), Delete(model.broker_key(3)))
    assert delta == ImageDelta(brokers_changed=frozenset({3}))
    assert not cluster.image.stopping


def test_a_broker_is_cordoned_whether_it_lives_or_not(cluster):
    assert cluster.write(Put(model.cordoned_key(3), model.MARK)) == ImageDelta()
    assert cluster.image.cordoned == {3}
    cluster.write(Put(model.broker_key(3), model.encode_broker(BROKER)))
    assert cluster.image.is_active(3)
    cluster.write(Delete(model.broker_key(3)))
    assert cluster.image.cordoned == {3}
    cluster.write(Delete(model.cordoned_key(3)))
    assert not cluster.image.cordoned


def test_a_fenced_broker_is_active_once_it_is_unfenced_in_its_epoch(cluster):
    put = Put(model.broker_key(3), registration())
    cluster.write(put)
    assert cluster.image.is_fenced(3)
    assert not cluster.image.is_active(3)
    unfenced = Put(model.unfenced_key(3), model.encode_unfenced(1))
    assert cluster.write(unfenced) == ImageDelta(brokers_changed=frozenset({3}))
    assert cluster.image.is_active(3)
    assert not cluster.image.is_fenced(3)
    cluster.write(put)  # anew: what was said of its last epoch says nothing of this one
    assert cluster.image.is_fenced(3)
    cluster.write(Delete(model.unfenced_key(3)))
    assert not cluster.image.unfenced


def test_a_broker_that_went_is_still_known(cluster):
    value = model.encode_broker(BROKER)
    cluster.write(Put(model.broker_key(3), value), Put(model.known_broker_key(3), value))
    cluster.write(Delete(model.broker_key(3)))
    assert cluster.image.known_brokers == {3: dataclasses.replace(BROKER, epoch=1)}
    cluster.write(Delete(model.known_broker_key(3)))
    assert not cluster.image.known_brokers


def test_the_controller_is_known_with_its_epoch(cluster):
    put = Put(model.CONTROLLER, model.encode_controller(3))
    assert cluster.write(put) == ImageDelta(controller_changed=True)
    assert cluster.image.controller == Controller(3, 1)
    assert cluster.write(put).controller_changed  # the same broker in another epoch
    assert cluster.image.controller == Controller(3, 2)
    assert cluster.write(Delete(model.CONTROLLER)).controller_changed
    assert cluster.image.controller is None


def test_registrations_of_the_first_format_are_read(cluster):
    cluster.write(Put(model.broker_key(3), b'{"host":"h","port":9092,"rack":null}'))
    endpoint = Endpoint("h", 9092, "PLAINTEXT")
    assert cluster.image.brokers == {3: BrokerRegistration(3, {"PLAINTEXT": endpoint}, epoch=1)}


def test_a_registration_is_read_as_it_is_laid_out():
    expected = BrokerRegistration(1, {}, None, UUID(int=7), {}, "d", is_clean=False, is_fenced=True, epoch=7)
    assert model.decode_broker(1, registration(), 7) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("/brokers/\u0663", b'{"host":"h","port":1,"rack":null}'),
        ("/brokers/x", b'{"host":"h","port":1,"rack":null}'),
        ("/brokers/1", b'{"host":"h","port":"1","rack":null}'),
        ("/brokers/1", b'{"host":"h","port":true,"rack":null}'),
        ("/brokers/1", b'[1,{"host":"h","port":1,"rack":null}]'),
        ("/brokers/1", registration(listeners={"A": ["h", 1]})),
        ("/brokers/1", registration(incarnation="7")),
        ("/brokers/1", registration(features={"a": [1]})),
        ("/brokers/1", registration(more=1)),
        ("/brokers/1", json.dumps([2, json.loads(registration())[1]]).encode()),
        ("/brokers/1", json.dumps([*json.loads(registration()), 0]).encode()),
        ("/known_brokers/x", model.encode_broker(BrokerRegistration(1, {}))),
        ("/brokers/1", registration(clean=1)),
        ("/unfenced/1", b"{}"),
        ("/unfenced/x", model.encode_unfenced(1)),
        ("/stopping/x", model.MARK),
        ("/cordoned/x", model.MARK),
        ("/controller", b'{"node":"1"}'),
    ],
)
def test_what_the_model_does_not_write_is_refused(key, value):
    with pytest.raises(MetadataFormatError):
        MetadataImage().apply([Event(1, key, value)])


NUMBERS = st.integers(0, 2**31 - 1)


ENDPOINTS = st.builds(Endpoint, st.text(), NUMBERS, st.sampled_from(["PLAINTEXT", "SASL_SSL"]))


@given(
    st.builds(
        BrokerRegistration,
        NUMBERS,
        st.dictionaries(st.text(), ENDPOINTS, max_size=3),
        st.none() | st.text(),
        st.uuids(),
        st.dictionaries(st.text(), st.tuples(NUMBERS, NUMBERS), max_size=3),
        st.text(),
        st.booleans(),
        st.booleans(),
        st.just(7),
    )
)
def test_registrations_read_back_the_same(broker):
    assert model.decode_broker(broker.node_id, model.encode_broker(broker), 7) == broker
