"""Changing who may come and what they may do: ACLs (KIP-140), users' credentials (KIP-554), delegation tokens
(KIP-48).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ottla.metadata.acls import Acl, AclFilter, acl_key, encode_acl
from ottla.metadata.credentials import (
    MAX_ITERATIONS,
    MECHANISMS,
    MIN_ITERATIONS,
    ScramCredential,
    ScramUser,
    credential_key,
    encode_credential,
)
from ottla.metadata.image import MetadataImage
from ottla.metadata.plan import Changes, Plan
from ottla.metadata.tokens import DelegationToken, encode_token, token_key
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


class CredentialChange(NamedTuple):
    """A user's credential to be set, or taken away: None."""

    user: ScramUser
    credential: ScramCredential | None


def alter_credentials(image: MetadataImage, changes: Sequence[CredentialChange]) -> Plan[str, None]:
    """One change of each user, as KIP-554 has it: of a user who is named twice nothing is changed, nor of one
    with a change before that was refused. The results are by his name. Raises nothing.
    """
    results: dict[str, KafkaError | None] = {}
    accepted: dict[str, CredentialChange] = {}
    for change in changes:
        name = change.user.name
        if isinstance(results.get(name), KafkaError):
            continue
        if accepted.pop(name, None) is not None:
            results[name] = KafkaError(
                ErrorCode.duplicate_resource, "A user credential cannot be altered twice in the same request"
            )
            continue
        results[name] = _refusal(image, change)
        if results[name] is None:
            accepted[name] = change
    planned: Changes[str] = Changes()
    for name, (user, wanted) in accepted.items():
        key, current = credential_key(user), image.credentials.get(user)
        write = Delete(key) if wanted is None else Put(key, encode_credential(wanted))
        planned.add(name, (Compare.unchanged(key, 0 if current is None else current.revision),), (write,))
    return Plan(planned.steps(), results)


def _refusal(image: MetadataImage, change: CredentialChange) -> KafkaError | None:
    user, wanted = change
    if not user.name:
        return KafkaError(ErrorCode.unacceptable_credential, "Username must not be empty")
    if user.mechanism not in MECHANISMS:
        return KafkaError(ErrorCode.unsupported_sasl_mechanism, "Unknown SCRAM mechanism")
    if wanted is None:
        if user in image.credentials:
            return None
        return KafkaError(
            ErrorCode.resource_not_found, "Attempt to delete a user credential that does not exist"
        )
    if wanted.iterations < MIN_ITERATIONS:
        return KafkaError(ErrorCode.unacceptable_credential, "Too few iterations")
    if wanted.iterations > MAX_ITERATIONS:
        return KafkaError(ErrorCode.unacceptable_credential, "Too many iterations")
    return None


def put_token(image: MetadataImage, token: DelegationToken) -> Plan[str, None]:
    """Add a token, or have one that there is (its `revision` says which) live as long as is said now. The
    result is by its id: KafkaError(delegation_token_not_found) where it is gone, or was changed meanwhile.
    """
    present = image.tokens.get(token.token_id)
    if present is not None and present._replace(revision=0) == token._replace(revision=0):
        return Plan((), {token.token_id: None})
    if (0 if present is None else present.revision) != token.revision:
        return Plan((), {token.token_id: KafkaError(ErrorCode.delegation_token_not_found)})
    planned: Changes[str] = Changes()
    key = token_key(token.token_id)
    planned.add(token.token_id, (Compare.unchanged(key, token.revision),), (Put(key, encode_token(token)),))
    return Plan(planned.steps(), {token.token_id: None})


def remove_tokens(image: MetadataImage, tokens: Sequence[DelegationToken]) -> Plan[str, None]:
    """Those of these that are there as they were; whoever was renewed meanwhile stays."""
    planned: Changes[str] = Changes()
    for token in tokens:
        if image.tokens.get(token.token_id) == token:
            key = token_key(token.token_id)
            planned.add(token.token_id, (Compare.unchanged(key, token.revision),), (Delete(key),))
    return Plan(planned.steps(), {token.token_id: None for token in tokens})
