"""Plans that change ACLs and credentials, and the image that shows them."""

from __future__ import annotations

from typing import Any

import pytest

from ottla.metadata import model
from ottla.metadata.access import CredentialChange, alter_credentials, create_acls, delete_acls
from ottla.metadata.acls import Acl, AclFilter, acl_key, encode_acl
from ottla.metadata.credentials import ScramCredential, ScramUser, credential_key, encode_credential
from ottla.metadata.image import MetadataImage
from ottla.metadata.plan import Plan
from ottla.metadata.quotas import encode_quotas, quota_key
from ottla.metadata.tokens import DelegationToken, encode_token, token_key
from ottla.metadata.transaction import Delete, Event, MetadataFormatError, Put
from ottla.protocol.codes import Operation, PatternType, Permission, ResourceType, ScramMechanism
from ottla.protocol.errors import ErrorCode, KafkaError

READ_T = Acl(ResourceType.TOPIC, PatternType.LITERAL, "t", "User:ann", "*", Operation.READ, Permission.ALLOW)
WRITE_T = READ_T._replace(operation=Operation.WRITE)
ANN = ScramUser(ScramMechanism.SCRAM_SHA_256, "ann/with a slash")
KEPT = ScramCredential(b"salt", b"stored", b"server", 4096)


def commit(cluster: Any, plan: Plan[Any, Any]) -> dict[Any, Any]:
    """What becomes of each item; the cluster's image is then the newer one."""
    for step in plan.steps:
        cluster.write(*step.transaction.writes)
    return dict(plan.results)


def test_an_entry_is_added_once_and_taken_away_by_what_matches(cluster: Any) -> None:
    wrong = READ_T._replace(host="")
    results = commit(cluster, create_acls(cluster.image, [READ_T, WRITE_T, READ_T, wrong]))
    assert results[READ_T] is None
    assert isinstance(results[wrong], KafkaError)
    assert set(cluster.image.acls.values()) == {READ_T, WRITE_T}
    again = create_acls(cluster.image, [READ_T])
    assert again.steps == ()
    assert again.results == {READ_T: None}
    by_operation, by_name = AclFilter(operation=Operation.READ), AclFilter(name="t")
    deleted = commit(cluster, delete_acls(cluster.image, [by_operation, by_name]))
    assert deleted[by_operation] == (READ_T,)
    assert set(deleted[by_name]) == {READ_T, WRITE_T}
    assert not cluster.image.acls


def test_a_filter_with_codes_that_are_not_known_is_refused(cluster: Any) -> None:
    wrong = AclFilter(operation=Operation.UNKNOWN)
    results = commit(cluster, delete_acls(cluster.image, [wrong]))
    assert isinstance(results[wrong], KafkaError)


def alter(cluster: Any, *changes: tuple[ScramUser, ScramCredential | None]) -> dict[str, ErrorCode | None]:
    """What becomes of each user."""
    plan = alter_credentials(cluster.image, [CredentialChange(*each) for each in changes])
    results: dict[str, KafkaError | None] = commit(cluster, plan)
    return {name: None if error is None else error.code for name, error in results.items()}


def test_credentials_are_set_replaced_and_taken_away(cluster: Any) -> None:
    assert alter(cluster, (ANN, KEPT)) == {ANN.name: None}
    kept = cluster.image.credentials[ANN]
    assert kept[:4] == KEPT[:4]
    assert kept.revision > 0
    alter(cluster, (ANN, KEPT._replace(iterations=8192)))
    assert cluster.image.credentials[ANN].iterations == 8192
    assert alter(cluster, (ANN, None)) == {ANN.name: None}
    assert ANN not in cluster.image.credentials
    assert alter(cluster, (ANN, None)) == {ANN.name: ErrorCode.resource_not_found}


def test_a_user_is_changed_once_in_a_request(cluster: Any) -> None:
    other = ANN._replace(mechanism=ScramMechanism.SCRAM_SHA_512)
    bob = ScramUser(ScramMechanism.SCRAM_SHA_512, "bob")
    twice = {ANN.name: ErrorCode.duplicate_resource, "bob": None}
    assert alter(cluster, (ANN, KEPT), (bob, KEPT), (other, KEPT)) == twice
    assert set(cluster.image.credentials) == {bob}
    # The first refusal of a user is his answer, and what else is asked of him is not done.
    assert alter(cluster, (ANN, None), (other, KEPT)) == {ANN.name: ErrorCode.resource_not_found}
    assert set(cluster.image.credentials) == {bob}


@pytest.mark.parametrize(
    ("user", "iterations", "refusal"),
    [
        (ANN._replace(name=""), 4096, ErrorCode.unacceptable_credential),
        (ANN._replace(mechanism=ScramMechanism.UNKNOWN), 4096, ErrorCode.unsupported_sasl_mechanism),
        (ANN, 4095, ErrorCode.unacceptable_credential),
        (ANN, 16385, ErrorCode.unacceptable_credential),
        (ANN, 16384, None),
    ],
)
def test_what_a_credential_has_to_be(
    cluster: Any, user: ScramUser, iterations: int, refusal: ErrorCode | None
) -> None:
    assert alter(cluster, (user, KEPT._replace(iterations=iterations))) == {user.name: refusal}
    assert len(cluster.image.credentials) == (refusal is None)


def test_a_change_of_access_says_so_in_the_delta(cluster: Any) -> None:
    event = Event(1, credential_key(ANN), encode_credential(KEPT))
    image, delta = MetadataImage().apply([event])
    assert delta.credentials_changed == {ANN}
    assert not delta.acls_changed
    commit(cluster, create_acls(cluster.image, [READ_T]))
    assert cluster.image.delta_from(MetadataImage()).acls_changed
    _, nothing = image.apply([])
    assert not nothing.credentials_changed


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("/scram/SCRAM-MD5/ann", encode_credential(KEPT)),
        ("/scram/SCRAM-SHA-256/", encode_credential(KEPT)),
        (credential_key(ANN), b'{"salt":"secret!","stored_key":"","server_key":"","iterations":1}'),
        (credential_key(ANN), b"{}"),
    ],
)
def test_what_is_no_credential_is_refused_and_not_shown(key: str, value: bytes) -> None:
    with pytest.raises(MetadataFormatError) as refused:
        MetadataImage().apply([Event(1, key, value)])
    assert "secret" not in str(refused.value)


KEEPERS = {
    "acls": Put(acl_key(READ_T), encode_acl(READ_T)),
    "credentials": Put(credential_key(ANN), encode_credential(KEPT)),
    "tokens": Put(token_key("t1"), encode_token(DelegationToken("t1", "User:ann", "User:ann", (), 1, 2, 3))),
    "quotas": Put(quota_key((("user", "ann"),)), encode_quotas({"producer_byte_rate": 1.0})),
    "client_metrics": Put(model.CLIENT_METRICS + "s", b"{}"),
}


@pytest.mark.parametrize("name", KEEPERS)
def test_who_remembers_what_came_of_a_mapping_sees_by_the_object_that_it_changed(
    cluster: Any, name: str
) -> None:
    cluster.write(*KEEPERS.values())
    before = {each: getattr(cluster.image, each) for each in KEEPERS}
    cluster.write(KEEPERS[name])
    cluster.write(Put(model.BROKER_CONFIGS + "1", b"{}"))
    assert [each for each in KEEPERS if getattr(cluster.image, each) is not before[each]] == [name]
    cluster.write(Delete(KEEPERS[name].key))
    assert len(before[name]) == 1, "images before stay as they were"
    assert not getattr(cluster.image, name)
