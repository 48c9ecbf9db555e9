from __future__ import annotations

from kio.schema.errors import ErrorCode as KioErrorCode

from ottla.protocol.errors import ErrorCode, KafkaError


def test_error_codes_are_kafkas() -> None:
    assert sorted(ErrorCode) == list(range(-1, 137))
    ours = {code.name: code.value for code in ErrorCode}
    theirs = {code.name: code.value for code in KioErrorCode}
    newer = {
        "group_deletion_failed": 134,
        "streams_topology_description_update_failed": 135,
        "controller_id_not_registered": 136,
    }
    assert ours == theirs | newer


def test_a_long_message_is_cut() -> None:
    error = KafkaError(ErrorCode.invalid_request, "x" * 2000)
    assert error.message is not None
    assert len(error.message) == 1003
    assert str(KafkaError(ErrorCode.none)) == "none"
