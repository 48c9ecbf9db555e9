"""Every API at every version: our codec against kio's."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kio.schema.index import api_key_map

from ottla.protocol import messages

from . import kio_values

VERSIONS = [
    pytest.param(api_key, version, id=f"{api_key_map[api_key]}-{version}")
    for api_key, version in kio_values.all_versions()
]
few = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.mark.parametrize(("api_key", "version"), VERSIONS)
@few
@given(data=st.data())
def test_responses_are_what_kio_writes_and_reads(api_key: int, version: int, data: st.DataObject) -> None:
    class_ = kio_values.response_class(api_key, version)
    response = data.draw(kio_values.messages(class_))
    encoded = messages.encode_response_body(api_key, version, response)
    assert kio_values.from_kio(kio_values.kio_read(class_, encoded)) == response
    assert kio_values.kio_write(kio_values.to_kio(class_, response)) == encoded
    messages.check_response(api_key, response)


@pytest.mark.parametrize(("api_key", "version"), VERSIONS)
@few
@given(data=st.data())
def test_requests_are_read_as_kio_writes_them(api_key: int, version: int, data: st.DataObject) -> None:
    class_ = kio_values.request_class(api_key, version)
    request = data.draw(kio_values.messages(class_))
    encoded = kio_values.kio_write(kio_values.to_kio(class_, request))
    decoded = messages.decode_request(api_key, version, encoded)
    assert kio_values.from_entity(decoded) == request
    in_a_frame = memoryview(b"head" + encoded + b"ignored")
    assert messages.decode_request(api_key, version, in_a_frame, 4) == decoded
