"""ACLs: what is refused as one, what a filter finds, and what is decided by them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.metadata.acls import Acl, AclFilter, acl_key, decode_acl, encode_acl
from ottla.metadata.transaction import MetadataFormatError
from ottla.protocol.codes import Operation, PatternType, Permission, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.security.access import Access
from ottla.security.authorizer import AclIndex, Authorizer, Decision, Whom, is_from
from ottla.security.principal import Principal

TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
LITERAL, PREFIXED = PatternType.LITERAL, PatternType.PREFIXED
ALLOW, DENY = Permission.ALLOW, Permission.DENY
ANN = frozenset({"User:ann", "User:*"})
READ, WRITE, DESCRIBE, ALL = Operation.READ, Operation.WRITE, Operation.DESCRIBE, Operation.ALL


def acl(
    name: str = "t",
    operation: Operation = READ,
    permission: Permission = ALLOW,
    *,
    principal: str = "User:ann",
    host: str = "*",
    pattern: PatternType = LITERAL,
    resource_type: ResourceType = TOPIC,
) -> Acl:
    return Acl(resource_type, pattern, name, principal, host, operation, permission)


def authorizer(*acls: Acl, super_users: tuple[str, ...] = (), otherwise: bool = False) -> Authorizer:
    return Authorizer(AclIndex(acls), super_users, allow_everyone_if_no_acl_found=otherwise)


def may(
    judge: Authorizer,
    operation: Operation = READ,
    name: str = "t",
    *,
    principal: str = "User:ann",
    groups: Sequence[str] = (),
    host: str = "10.1.2.3",
    resource_type: ResourceType = TOPIC,
) -> bool:
    whom = judge.whom(principal, groups, host)
    return judge.decide(whom, host, operation, resource_type, name).is_allowed


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (acl(resource_type=ResourceType.ANY), "Invalid resourceType ANY"),
        (acl(resource_type=ResourceType.UNKNOWN), "Invalid resourceType UNKNOWN"),
        (acl(pattern=PatternType.MATCH), "Invalid patternType MATCH"),
        (acl(operation=Operation.ANY), "Invalid operation ANY"),
        (acl(permission=Permission.ANY), "Invalid permissionType ANY"),
        (acl(name=""), "Resource name should not be empty"),
        (acl(principal="ann"), "no colon is present"),
        (acl(host=""), "Host pattern cannot be null or empty"),
        (acl(host="10.0.0.0/33"), "Invalid CIDR notation '10.0.0.0/33'"),
        (acl(host="10.0.0/8"), "Invalid CIDR notation"),
        (acl(host="10.0.0.0/255.0.0.0"), "Invalid CIDR notation"),
        (acl(host="::/129"), "Invalid CIDR notation"),
    ],
)
def test_what_is_no_acl_is_refused(wrong: Acl, text: str) -> None:
    with pytest.raises(KafkaError, match=text) as refused:
        wrong.check()
    assert refused.value.code is ErrorCode.invalid_request


@pytest.mark.parametrize(
    "host", ["*", "10.1.2.3", "10.1.0.0/16", "10.1.2.3/8", "2001:db8::/32", "::1", "name"]
)
def test_hosts_are_addresses_ranges_or_all(host: str) -> None:
    acl(host=host).check()


def test_a_range_holds_its_addresses_only() -> None:
    assert is_from("10.1.255.255", "10.1.0.0/16")
    assert is_from("10.1.0.0", "10.1.0.0/16")
    assert not is_from("10.2.0.0", "10.1.0.0/16")
    assert is_from("2001:db8::5", "2001:db8::/32")
    assert not is_from("2001:db9::5", "2001:db8::/32")
    assert not is_from("::1", "10.1.0.0/16")
    assert not is_from("no address", "10.1.0.0/16")
    assert not is_from("10.1.2.3", "10.1.2.4")


def test_a_denial_comes_before_what_is_allowed() -> None:
    judge = authorizer(
        acl(operation=ALL), acl("t", READ, DENY, principal="User:*"), acl("x", READ, pattern=PREFIXED)
    )
    assert not may(judge, READ)
    assert may(judge, WRITE)
    assert may(judge, READ, "xy")
    assert not may(judge, WRITE, "xy")


def test_a_prefix_a_wildcard_and_a_name_all_speak_of_a_topic() -> None:
    for spoken in (acl("*"), acl("orders"), acl("ord", pattern=PREFIXED), acl("orders", pattern=PREFIXED)):
        assert may(authorizer(spoken), READ, "orders")
    for silent in (acl("order"), acl("orders.", pattern=PREFIXED), acl("orders", resource_type=GROUP)):
        assert not may(authorizer(silent), READ, "orders")


def test_what_is_allowed_implies_its_description_and_a_denial_nothing() -> None:
    for operation in (READ, WRITE, Operation.DELETE, Operation.ALTER, ALL):
        assert may(authorizer(acl(operation=operation)), DESCRIBE)
    assert not may(authorizer(acl(operation=Operation.CREATE)), DESCRIBE)
    assert may(authorizer(acl(operation=Operation.ALTER_CONFIGS)), Operation.DESCRIBE_CONFIGS)
    assert not may(authorizer(acl(operation=Operation.ALTER)), Operation.DESCRIBE_CONFIGS)
    assert may(authorizer(acl(operation=DESCRIBE), acl(operation=READ, permission=DENY)), DESCRIBE)


def test_the_default_holds_only_where_no_entry_speaks_of_the_resource() -> None:
    judge = authorizer(acl(principal="User:bob"), otherwise=True)
    assert not may(judge, READ)
    assert may(judge, READ, "other")
    assert judge.decide(ANN, "10.0.0.1", READ, TOPIC, "other").rule == "DefaultAllow"
    assert judge.decide(ANN, "10.0.0.1", READ, TOPIC, "t").rule == "DefaultDeny"
    assert not may(authorizer(), READ)


def test_super_users_may_all() -> None:
    judge = authorizer(acl(operation=ALL, permission=DENY, principal="User:*"), super_users=("User:ann",))
    assert may(judge, WRITE)
    assert not may(judge, WRITE, principal="User:bob")
    assert judge.may_with_some(ANN, "10.0.0.1", WRITE, TOPIC)
    assert not judge.may_with_some(frozenset({"User:bob", "User:*"}), "10.0.0.1", WRITE, TOPIC)


def test_nobody_is_a_super_user_by_what_means_anybody_elsewhere() -> None:
    assert not may(authorizer(super_users=("User:*",)), WRITE)


@pytest.mark.parametrize(
    ("acls", "expected"),
    [
        ([acl("t", WRITE)], True),
        ([acl("t", ALL)], True),
        ([acl("t", READ)], False),
        ([acl("t", WRITE, host="10.9.9.9")], False),
        ([acl("t", WRITE), acl("t", WRITE, DENY)], False),
        ([acl("t", WRITE), acl("u", WRITE, DENY)], True),
        ([acl("tt", WRITE), acl("t", WRITE, DENY, pattern=PREFIXED)], False),
        ([acl("t", WRITE, pattern=PREFIXED), acl("t", WRITE, DENY)], True),
        ([acl("tt", WRITE, pattern=PREFIXED), acl("t", ALL, DENY, pattern=PREFIXED)], False),
        ([acl("*", WRITE), acl("t", WRITE, DENY, pattern=PREFIXED)], True),
        ([acl("t", WRITE), acl("*", WRITE, DENY)], False),
    ],
)
def test_an_idempotent_producer_needs_some_topic_to_write_to(acls: list[Acl], expected: bool) -> None:
    assert authorizer(*acls).may_with_some(ANN, "10.0.0.1", WRITE, TOPIC) is expected


def test_filters_find_entries_by_what_they_say_or_what_they_apply_to() -> None:
    one, two, three = acl("orders"), acl("ord", pattern=PREFIXED), acl("*", WRITE, DENY, principal="User:bob")

    def found(**wanted: object) -> set[Acl]:
        return {each for each in (one, two, three) if AclFilter(**wanted).matches(each)}  # type: ignore[arg-type]

    assert found() == {one, two, three}
    assert found(name="orders") == {one}
    assert found(name="orders", pattern_type=PatternType.MATCH) == {one, two, three}
    assert found(name="ord", pattern_type=PatternType.MATCH) == {two, three}
    assert found(pattern_type=PREFIXED) == {two}
    assert found(principal="User:bob") == {three}
    assert found(operation=READ, permission=ALLOW) == {one, two}
    assert found(resource_type=GROUP) == set()
    assert found(host="10.0.0.1") == set()


NAMES = st.text("ab*", min_size=1, max_size=3)
ACLS = st.builds(
    acl,
    NAMES,
    st.sampled_from([READ, WRITE, DESCRIBE, ALL]),
    st.sampled_from([ALLOW, DENY]),
    principal=st.sampled_from(["User:ann", "User:bob", "User:*"]),
    host=st.sampled_from(["*", "10.1.2.3", "10.1.0.0/16", "10.9.0.0/16"]),
    pattern=st.sampled_from([LITERAL, PREFIXED]),
    resource_type=st.sampled_from([TOPIC, GROUP]),
)


@given(st.lists(ACLS, max_size=8), NAMES, st.sampled_from([READ, WRITE, DESCRIBE]), st.booleans())
def test_the_index_decides_as_a_look_at_every_entry(
    acls: list[Acl], name: str, operation: Operation, otherwise: bool
) -> None:
    def plainly() -> bool:
        speaking = [
            each
            for each in acls
            if each.resource_type is TOPIC
            and (name.startswith(each.name) if each.pattern_type is PREFIXED else each.name in (name, "*"))
        ]
        meant = [
            each
            for each in speaking
            if each.principal in ("User:ann", "User:*") and each.host in ("*", "10.1.2.3", "10.1.0.0/16")
        ]
        if any(each.permission is DENY and each.operation in (ALL, operation) for each in meant):
            return False
        wide = {ALL, operation} | ({READ, WRITE} if operation is DESCRIBE else set())
        if any(each.permission is ALLOW and each.operation in wide for each in meant):
            return True
        return otherwise and not speaking

    assert may(authorizer(*acls, otherwise=otherwise), operation, name) is plainly()


@given(ACLS)
def test_an_entry_comes_back_from_the_store(entry: Acl) -> None:
    assert decode_acl(encode_acl(entry)) == entry
    assert acl_key(entry).startswith("/acls/")


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"[1,{}]", encode_acl(acl(name="")), encode_acl(acl()).replace(b"READ", b"EAT")]
)
def test_what_is_no_entry_in_the_store_is_refused(value: bytes) -> None:
    with pytest.raises(MetadataFormatError):
        decode_acl(value)


def binding(
    principal: str, role: str = "Role:reader", permission: Permission = ALLOW, host: str = "*"
) -> Acl:
    return acl(role, ALL, permission, principal=principal, host=host, resource_type=ResourceType.USER)


def test_who_has_a_role_may_what_the_role_may() -> None:
    judge = authorizer(
        acl(principal="Role:reader"),
        acl(principal="Role:other", name="u"),
        binding("User:ann"),
        binding("Group:ops"),
    )
    assert may(judge)
    assert not may(judge, name="u")
    assert not may(judge, WRITE)
    assert may(judge, principal="User:bob", groups=["Group:ops", "Group:dev"])
    assert not may(judge, principal="User:bob", groups=["Group:dev"])
    assert may(authorizer(acl(principal="Role:reader"), binding("User:*")), principal="User:anybody")


def test_what_a_role_is_denied_its_members_are() -> None:
    denied = acl("t", READ, DENY, principal="Role:barred")
    judge = authorizer(acl(), denied, binding("User:ann", "Role:barred"))
    assert not may(judge)
    assert not judge.may_with_some(judge.whom("User:ann", (), "10.1.2.3"), "10.1.2.3", READ, TOPIC)


def test_a_member_may_be_so_from_some_hosts_only_or_be_left_out_by_name() -> None:
    grant = acl(principal="Role:reader")
    judge = authorizer(grant, binding("User:ann", host="10.0.0.0/8"))
    assert may(judge)
    assert not may(judge, host="192.0.2.1")
    without_ann = authorizer(grant, binding("Group:ops"), binding("User:ann", permission=DENY))
    assert may(without_ann, principal="User:bob", groups=["Group:ops"])
    assert not may(without_ann, groups=["Group:ops"])


@pytest.mark.parametrize(
    "wide",
    [
        acl("*", ALL, resource_type=ResourceType.USER),
        acl("Role:", ALL, pattern=PREFIXED, resource_type=ResourceType.USER),
        acl("Role:reader", Operation.CREATE_TOKENS, resource_type=ResourceType.USER),
        acl("Role:reader", ALL, resource_type=ResourceType.GROUP),
        binding("Role:reader"),
        binding("Role:ops"),
    ],
)
def test_nothing_but_an_entry_for_the_very_role_gives_it(wide: Acl) -> None:
    grant = acl(principal="Role:reader")
    assert not may(authorizer(grant, wide, binding("User:ann", "Role:ops")))


def test_groups_may_be_named_by_acls_and_among_super_users() -> None:
    assert may(authorizer(acl(principal="Group:ops")), groups=["Group:ops"])
    assert not may(authorizer(acl(principal="Group:ops")))
    assert may(authorizer(super_users=("Group:ops",)), WRITE, groups=["Group:ops"])


def test_decisions_are_kept_of_names_that_a_topic_may_have() -> None:
    judge = Counted(AclIndex(), (), allow_everyone_if_no_acl_found=True)
    access = Access(Principal("User", "ann"), [], "10.1.2.3", lambda: judge, lambda _: None)
    for name in ("t" * 249, "t" * 250):
        assert access.may(READ, TOPIC, name)
        assert access.may(READ, TOPIC, name)
    assert judge.asked == [249, 250, 250]


class Counted(Authorizer):
    """Notes how long the names are that it is asked of."""

    def __init__(self, index: AclIndex, super_users: Sequence[str], **settings: bool) -> None:
        super().__init__(index, super_users, **settings)
        self.asked: list[int] = []

    def decide(self, whom: Whom, host: str, operation: Operation, type_: ResourceType, name: str) -> Decision:
        self.asked.append(len(name))
        return super().decide(whom, host, operation, type_, name)


def test_a_change_of_roles_counts_for_those_who_are_there() -> None:
    grant = acl(principal="Role:reader")
    now = [authorizer(grant, binding("Group:ops"))]
    access = Access(Principal("User", "ann"), ["ops"], "10.1.2.3", lambda: now[0], lambda _: None)
    assert access.may(READ, TOPIC, "t")
    assert access.may_with_some(READ, TOPIC)
    now[0] = authorizer(grant)
    assert not access.may_with_some(READ, TOPIC)
    assert not access.may(READ, TOPIC, "t")
