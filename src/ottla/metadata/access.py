"""Changing who may come and what they may do: ACLs (KIP-140) and users' credentials (KIP-554)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ottla.metadata.acls import Acl, AclFilter, acl_key, encode_acl
from ottla.metadata.credentials import ScramCredential, ScramUser, credential_key, encode_credential
from ottla.metadata.image import MetadataImage
from ottla.metadata.plan import Changes, Plan
from ottla.metadata.transaction import Compare, Delete, Put
from ottla.protocol.errors import ErrorCode, KafkaError

DELETED_MAX = 10_000
"""ACLs that one request may delete, as in Kafka"""


def create_acls(image: MetadataImage, wanted: Sequence[Acl]) -> Plan[Acl, None]:
    """Add each entry; one that is there already is no error."""
    planned: Changes[Acl] = Changes()
    results: dict[Acl, KafkaError | None] = {}
    for acl in dict.fromkeys(wanted):
        try:
            acl.check()
        except KafkaError as error:
            results[acl] = error
            continue
        results[acl] = None
        key = acl_key(acl)
        if key not in image.acls:
            # Whoever wrote the key meanwhile has written the same.
            planned.add(acl, (), (Put(key, encode_acl(acl)),))
    return Plan(planned.steps(), results)


def delete_acls(image: MetadataImage, filters: Sequence[AclFilter]) -> Plan[AclFilter, tuple[Acl, ...]]:
    """Remove what each filter matches; the results are the entries.

    Raises KafkaError(invalid_request) where they are more than a request may delete.
    """
    planned: Changes[AclFilter] = Changes()
    results: dict[AclFilter, tuple[Acl, ...] | KafkaError] = {}
    deleted: dict[str, None] = {}
    for wanted in dict.fromkeys(filters):
        try:
            wanted.check()
        except KafkaError as error:
            results[wanted] = error
            continue
        found = {key: acl for key, acl in image.acls.items() if wanted.matches(acl)}
        results[wanted] = tuple(found.values())
        for key in found:
            if key not in deleted:
                deleted[key] = None
                planned.add(wanted, (), (Delete(key),))
    if len(deleted) > DELETED_MAX:
        raise KafkaError(
            ErrorCode.invalid_request,
            f"Cannot remove more than {DELETED_MAX} acls in a single delete operation.",
        )
    return Plan(planned.steps(), results)


def alter_credentials(
    image: MetadataImage, changes: Mapping[ScramUser, ScramCredential | None]
) -> Plan[ScramUser, None]:
    """Set each credential, or take it away: None. Raises nothing; one that is not there is not taken away
    (resource_not_found).
    """
    planned: Changes[ScramUser] = Changes()
    results: dict[ScramUser, KafkaError | None] = {}
    for user, wanted in changes.items():
        current = image.credentials.get(user)
        if wanted is None and current is None:
            results[user] = KafkaError(
                ErrorCode.resource_not_found, "Attempt to delete a user credential that does not exist"
            )
            continue
        key = credential_key(user)
        write = Delete(key) if wanted is None else Put(key, encode_credential(wanted))
        planned.add(user, (Compare.unchanged(key, 0 if current is None else current.revision),), (write,))
        results[user] = None
    return Plan(planned.steps(), results)
