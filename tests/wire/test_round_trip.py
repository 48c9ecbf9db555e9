"""Every API at every version: our codec against kio's."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ottla.protocol import wire
from ottla.protocol.messages import APIS

from . import kio_values
from .typed import from_dict, to_dict

VERSIONS = [
    pytest.param(api_key, version, id=f"{APIS[api_key].name}-{version}")
    for api_key, version in kio_values.all_versions()
]
few = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def test_kio_lacks_only_what_is_newer_than_it() -> None:
    ours = {(api.name, version) for key, api in APIS.items() for version in wire.known_versions(key)}
    theirs = {(APIS[key].name, version) for key, version in kio_values.all_versions()}
    assert ours - theirs == {
        ("ApiVersions", 5),
        ("DeleteGroups", 3),
        ("StreamsGroupDescribe", 1),
        ("StreamsGroupHeartbeat", 1),
        ("StreamsGroupTopologyDescriptionUpdate", 0),
        ("TxnOffsetCommit", 6),
        ("UnregisterController", 0),
    }


@pytest.mark.parametrize(("api_key", "version"), VERSIONS)
@few
@given(data=st.data())
def test_responses_are_what_kio_writes_and_reads(api_key: int, version: int, data: st.DataObject) -> None:
    class_ = kio_values.response_class(api_key, version)
    response = data.draw(kio_values.messages(class_))
    typed = from_dict(wire.response_class(api_key), response)
    encoded = wire.encode(typed, version)
    assert kio_values.from_kio(kio_values.kio_read(class_, encoded)) == response
    assert kio_values.kio_write(kio_values.to_kio(class_, response)) == encoded
    assert wire.decode(type(typed), version, encoded) == typed


@pytest.mark.parametrize(("api_key", "version"), VERSIONS)
@few
@given(data=st.data())
def test_requests_are_what_kio_writes_and_reads(api_key: int, version: int, data: st.DataObject) -> None:
    class_ = kio_values.request_class(api_key, version)
    request = data.draw(kio_values.messages(class_))
    encoded = kio_values.kio_write(kio_values.to_kio(class_, request))
    decoded = wire.decode_request(api_key, version, encoded)
    assert to_dict(decoded, version) == request
    assert decoded == from_dict(wire.request_class(api_key), request)
    assert wire.encode(decoded, version) == encoded
    in_a_frame = memoryview(b"head" + encoded + b"ignored")
    assert wire.decode_request(api_key, version, in_a_frame, 4) == decoded


@pytest.mark.parametrize("kind", ["Request", "Response"])
@pytest.mark.parametrize("api_key", APIS, ids=[api.name for api in APIS.values()])
def test_defaults_fit_every_version(api_key: int, kind: str) -> None:
    """What a handler leaves out can be written, and is read as it was."""
    class_ = wire.request_class(api_key) if kind == "Request" else wire.response_class(api_key)
    for version in class_.__versions__:
        encoded = wire.encode(class_(), version)
        decoded = wire.decode(class_, version, encoded)
        assert wire.encode(decoded, version) == encoded
